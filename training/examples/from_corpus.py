"""`cosup examples from-corpus`: questions and cited answers made of documents alone.

A title or heading leads to its passage, a sentence to the passage that it comes from, and a passage on to the next one
of its document. What is answered is always a sentence of the passage.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from random import Random
from typing import TypeVar

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from training.examples.passages import (
    Sentences,
    document_name,
    documents,
    normalized,
    read_corpora,
    title_golds,
)
from training.examples.settings import FromCorpusSettings
from training.examples.wording import STOP_WORDS

FEWEST_KEYWORDS, MOST_KEYWORDS = 3, 6

Item = TypeVar("Item")


def examples_from_corpus(settings: FromCorpusSettings) -> dict[str, list[Example]]:
    """Return the examples of `train` and, where something is held out, `dev`; equal input and seed give equal ones.

    Raises:
        InputError: A corpus is wrong, no question can be made of it, or all of it would be held out.
    """
    corpus = read_corpora(settings.corpus)
    order = {name: place for place, name in enumerate(corpus)}
    made = _limited(_drawn(_Maker(list(corpus.values()), settings), settings), settings.limit)
    if not made:
        raise InputError(
            "no question can be made of the corpus",
            where=", ".join(map(str, settings.corpus)),
            remedy="Its passages need titles, or sentences of min_words to max_words words",
        )
    made.sort(key=lambda example: (order[_gold(example)], example.id))
    held_out = _held_out(made, corpus, settings)
    splits = {
        "train": [example for example in made if example.id not in held_out],
        "dev": [example for example in made if example.id in held_out],
    }
    if not splits["train"]:
        raise InputError(
            "all questions are about one document, which would be held out",
            where="--held-out-by",
            remedy="Use --held-out-by question, or --held-out-percent 0",
        )
    return splits if settings.held_out_percent else {"train": splits["train"]}


@dataclass(eq=False)
class _Kind:
    """The examples of one kind, and how many of them have been drawn."""

    weight: float
    examples: Iterator[Example]
    count: int = 0


class _Maker:
    """Makes the examples of each kind, in random order."""

    def __init__(self, passages: Sequence[Passage], settings: FromCorpusSettings) -> None:
        self._settings = settings
        self._sentences = Sentences(settings.min_words, settings.max_words)
        # Of passages that say the same, which one is right could not be told.
        first = {normalized(passage.text): passage.id for passage in reversed(passages)}
        kept = [passage for passage in passages if first[normalized(passage.text)] == passage.id]
        self._groups = documents(kept)
        self._titles = title_golds(documents(passages))
        self._passages = kept

    def titles(self) -> Iterator[Example]:
        """A title leads to the first passage under it, which is cited for its first sentence."""
        kept = {passage.id for passage in self._passages}
        for title, passage in self._shuffled(list(self._titles.items()), "titles"):
            said = self._sentences.of(passage)[:1]
            if said and passage.id in kept:
                yield _example("title", f"{passage.id}-{normalized(title)}", title, [(said[0], passage)])

    def sentences(self) -> Iterator[Example]:
        """A sentence, or some of its words, leads to its passage, which is cited for the sentence that follows."""
        for turn in range(self._settings.questions_per_passage):
            for passage in self._shuffled(self._passages, f"sentences {turn}"):
                said = self._sentences.of(passage)
                asked = self._shuffled(list(range(len(said))), f"asked {passage.id}")[turn : turn + 1]
                for place in asked:
                    answer = said[place + 1] if place + 1 < len(said) else said[place]
                    yield _example("sentence", f"{passage.id}-{place}", self._asked(said[place]), [(answer, passage)])

    def nexts(self) -> Iterator[Example]:
        """What leads to a passage leads on to the next one: both are cited for their first sentences."""
        titles = {passage.id: title for title, passage in self._titles.items()}
        pairs = [pair for group in self._groups for pair in pairwise(group)]
        for first, second in self._shuffled(pairs, "nexts"):
            said, then = self._sentences.of(first), self._sentences.of(second)
            if said and then:
                question = titles.get(first.id) or self._asked(said[-1])
                yield _example("next", first.id, question, [(said[0], first), (then[0], second)])

    def _asked(self, sentence: str) -> str:
        random = Random(f"{self._settings.seed} {sentence}")  # noqa: S311 - reproducible, not secret
        if random.random() < self._settings.keywords_share:
            words = _keywords(sentence, random)
            if len(words) >= FEWEST_KEYWORDS:
                return " ".join(words)
        return sentence

    def _shuffled(self, items: Sequence[Item], what: str) -> list[Item]:
        shuffled = list(items)
        Random(f"{self._settings.seed} {what}").shuffle(shuffled)  # noqa: S311 - reproducible, not secret
        return shuffled


def _drawn(maker: _Maker, settings: FromCorpusSettings) -> Iterator[Example]:
    """Draw from the kinds by their weights; what one kind has not, the others give."""
    kinds = [
        _Kind(settings.title_share, maker.titles()),
        _Kind(settings.sentence_share, maker.sentences()),
        _Kind(settings.next_share, maker.nexts()),
    ]
    left = [kind for kind in kinds if kind.weight]
    while left:
        behind = min(left, key=lambda kind: (kind.count + 1) / kind.weight)
        example = next(behind.examples, None)
        if example is None:
            left.remove(behind)
            continue
        behind.count += 1
        yield example


def _keywords(sentence: str, random: Random) -> list[str]:
    """A few words of a sentence, in order, as one types them into a search box; of any script."""
    words = [word for word in normalized(sentence).split() if word not in STOP_WORDS]
    chosen = sorted(random.sample(range(len(words)), min(len(words), random.randint(FEWEST_KEYWORDS, MOST_KEYWORDS))))
    return [words[place] for place in chosen]


def _limited(drawn: Iterator[Example], limit: int | None) -> list[Example]:
    """As many as `limit` of the drawn examples that ask for one thing only."""
    made = list(islice(drawn, limit))
    clear = _unambiguous(made)
    while limit and len(clear) < limit:
        more = list(islice(drawn, limit - len(clear)))
        if not more:
            break
        made += more
        clear = _unambiguous(made)
    return clear


def _example(task: str, name: str, question: str, cited: Sequence[tuple[str, Passage]]) -> Example:
    segments = [Segment(text=text, passage_id=passage.id) for text, passage in cited]
    answers = [" ".join(text for text, _ in cited)]
    return Example(id=f"{task}-{name}", task=task, question=question, answers=answers, segments=segments)


def _unambiguous(examples: Sequence[Example]) -> list[Example]:
    """Leave out questions whose first lookup could find several passages, and the same question asked again."""
    golds: dict[str, set[str]] = {}
    for example in examples:
        golds.setdefault(normalized(example.question), set()).add(_gold(example))
    clear = [example for example in examples if len(golds[normalized(example.question)]) == 1]
    once = {(normalized(example.question), len(example.segments)): example for example in reversed(clear)}
    return list(once.values())


def _gold(example: Example) -> str:
    return str(example.segments[0].passage_id)


def _held_out(examples: Sequence[Example], corpus: Mapping[str, Passage], settings: FromCorpusSettings) -> set[str]:
    """Ids of the examples for dev: a share by digest, so that it stays when a corpus grows; at least one."""
    if not settings.held_out_percent:
        return set()
    by_question = settings.held_out_by == "question"
    group = {
        example.id: normalized(example.question) if by_question else document_name(corpus[_gold(example)])
        for example in examples
    }
    share = {name: _share(f"{settings.seed} {name}") for name in group.values()}
    chosen = {name for name in share if share[name] * 100 < settings.held_out_percent}
    chosen = chosen or {min(share, key=lambda name: share[name])}
    return {example.id for example in examples if group[example.id] in chosen}


def _share(name: str) -> float:
    return int(hashlib.sha256(name.encode()).hexdigest()[:16], 16) / 2**64
