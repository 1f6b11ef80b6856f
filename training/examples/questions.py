"""All the questions that can be asked about one documented name, each with its reference answer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from semiparametric.formats import Segment
from training.examples import templates
from training.examples.entries import Entry
from training.examples.parameter_docs import parameter_notes
from training.examples.uniqueness import Descriptions, ShortNames
from training.examples.verbs import conjugate
from training.examples.wording import keywords, parts, with_synonym

KIND_WORDS = {"module": "module", "class": "class", "function": "function", "method": "method", "property": "property"}


@dataclass(frozen=True)
class Candidate:
    """One question that could be asked. `reserved` ones are never asked in training."""

    task: str
    question: str
    segments: tuple[Segment, ...]
    short_answer: str
    reserved: bool


class QuestionMaker:
    """Makes the candidates of an entry, in random order, tasks apart."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._descriptions = Descriptions(entries)
        self._names = ShortNames(entries)
        self._siblings = siblings(entries)

    def candidates(self, entry: Entry, random: Random) -> list[Candidate]:
        """Return every candidate about an entry: what, which, parameter and compare questions."""
        found = list(self._parameter(entry, random))
        if entry.summary:
            found += [*self._what(entry, random), *self._which(entry, random), *self._compare(entry, random)]
        random.shuffle(found)
        return found

    def _what(self, entry: Entry, random: Random) -> Iterator[Candidate]:
        def question(template: str) -> str:
            name = random.choice(self._names.names(entry))
            return template.format(name=name, kind=KIND_WORDS.get(entry.kind, "name"))

        segments = (Segment(text=entry.statement, passage_id=entry.passages[0].id),)
        short = entry.summary.sentence if entry.summary else ""
        yield from _worded("what", question, templates.WHAT, templates.WHAT_RESERVED, segments, short)

    def _which(self, entry: Entry, random: Random) -> Iterator[Candidate]:
        segments = (Segment(text=entry.statement, passage_id=entry.passages[0].id),)

        def question(template: str) -> str:
            return self._which_question(entry, template, random)

        if entry.summary:
            asked, reserved = templates.WHICH[entry.summary.form]
            yield from _worded("which", question, asked + templates.WHICH_KEYWORDS, reserved, segments, entry.shown)

    def _which_question(self, entry: Entry, template: str, random: Random) -> str:
        """Fill one template, or return an empty string where every wording tried is ambiguous."""
        summary = entry.summary
        if summary is None:
            return ""
        description = random.choice(parts(summary.phrase))
        words = keywords(summary.sentence, random) if "{keywords}" in template else ""
        scopes = self._descriptions.scopes(entry, words or description)
        if not scopes:
            description = summary.phrase
            scopes = [] if words else self._descriptions.scopes(entry, description)
        if not scopes or names_itself(entry, words or description):
            return ""
        scope = scopes[0] if scopes[0] == "" and random.random() < 0.6 else random.choice(scopes)
        base = with_synonym(description, random) if random.random() < 0.35 else description
        return template.format(
            kind=KIND_WORDS.get(entry.kind, "name"),
            base=base,
            third=conjugate(description) if summary.form == "verb" else "",
            phrase=description,
            keywords=words,
            where=_where(scope, entry, random),
            using=_using(scope, random),
        )

    def _parameter(self, entry: Entry, random: Random) -> Iterator[Candidate]:
        for note in parameter_notes(entry):

            def question(template: str, parameter: str = note.name) -> str:
                return template.format(name=random.choice(self._names.names(entry)), parameter=parameter)

            segments = (Segment(text=note.text, passage_id=note.passage_id),)
            short = note.text.removeprefix(f"{note.name}: ")
            yield from _worded(
                "parameter", question, templates.PARAMETER, templates.PARAMETER_RESERVED, segments, short
            )

    def _compare(self, entry: Entry, random: Random) -> Iterator[Candidate]:
        for other in self._siblings.get(entry.name, ()):

            def question(template: str, second: Entry = other) -> str:
                return template.format(name=_plain_name(entry, random), other=_plain_name(second, random))

            segments = tuple(Segment(text=one.statement, passage_id=one.passages[0].id) for one in (entry, other))
            yield from _worded("compare", question, templates.COMPARE, templates.COMPARE_RESERVED, segments, "")


def names_itself(entry: Entry, description: str) -> bool:
    """Tell whether a description gives the full name away, which would make the question pointless."""
    return entry.shown.lower() in description.lower().split()


def siblings(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return for each entry the one or two most like it that stand in the same class or module and are of its kind."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        if entry.summary and entry.kind != "module":
            groups.setdefault((entry.owner or entry.module, entry.kind), []).append(entry)
    found: dict[str, list[Entry]] = {}
    for group in groups.values():
        features = [_features(entry) for entry in group]
        for place, entry in enumerate(group):
            likeness = [
                (len(features[place] & other) / len(features[place] | other), -abs(number - place), number)
                for number, other in enumerate(features)
                if number != place and _says(group[number]) != _says(entry)
            ]
            best = sorted(likeness, reverse=True)[:2]
            found[entry.name] = [group[number] for share, _, number in best if share >= 0.2]
    return found


def _features(entry: Entry) -> frozenset[str]:
    sentence = _says(entry)
    last = entry.shown.rpartition(".")[2].lower()
    pieces = {last[start : start + 3] for start in range(max(len(last) - 2, 1))}
    return frozenset(pieces | {f" {word}" for word in sentence.lower().split()})


def _says(entry: Entry) -> str:
    return entry.summary.sentence if entry.summary else ""


def _plain_name(entry: Entry, random: Random) -> str:
    return random.choice((entry.shown, entry.subject))


def _where(scope: str, entry: Entry, random: Random) -> str:
    if not scope:
        return ""
    if scope == "builtins":
        return random.choice((" among the built-ins", " in builtins"))
    if scope == entry.owner and entry.kind in {"method", "property"}:
        return random.choice((f" of {scope}", f" on {scope}"))
    return random.choice((f" in {scope}", f" of the {scope} module", f" in the {scope} module", f" of module {scope}"))


def _using(scope: str, random: Random) -> str:
    if not scope:
        return ""
    if scope == "builtins":
        return random.choice((" with a built-in", " with builtins"))
    return random.choice((f" with {scope}", f" using {scope}", f" ({scope})"))


def _worded(
    task: str,
    question: Callable[[str], str],
    asked: tuple[str, ...],
    reserved: tuple[str, ...],
    segments: tuple[Segment, ...],
    short_answer: str,
) -> Iterator[Candidate]:
    for template in asked + reserved:
        text = question(template)
        if text:
            yield Candidate(task, text, segments, short_answer, reserved=template in reserved)
