"""What a docstring says about each parameter: from Args sections, :param: fields, NumPy sections, or the prose."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from semiparametric.formats import Passage
from training.examples.entries import Entry, parameters
from training.examples.sentences import LONGEST_SENTENCE, paragraphs, plain, sentences

_FIELD = re.compile(r"^:param\s+(?:[\w\[\], .|]+\s)?\**(?P<name>\w+):\s*(?P<text>.+(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_LISTED = re.compile(
    r"^[ \t]{2,}\**`{0,2}(?P<name>\w+)`{0,2}\s*(?:\([^\n]*?\))?\s*:\s+(?P<text>\S.*(?:\n[ \t]{5,}\S.*)*)", re.MULTILINE
)
_NUMPY = re.compile(r"^\**(?P<name>\w+) : [^\n]*\n(?P<text>[ \t]+\S.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_DASHED = re.compile(
    r"^[ \t]*(?P<name>[a-z_]\w*)\s+--?\s+(?P<text>\S.*(?:\n[ \t]{4,}\S.*)*)"
    r"|^(?P<name2>[a-z_]\w*)\n[ \t]{2}(?P<text2>\S.*(?:\n[ \t]{2,}\S.*)*)",
    re.MULTILINE,
)

# Parameter names that are also plain words: in prose they count only when marked or where the sentence is about them.
_ABOUT = (
    r"(?:^|[,;] )(?:If|When|Unless|The|The optional|Optional|The argument|Argument|The parameter)?\s*"
    r"(?:argument |parameter )?['\"]?{name}['\"]?(?: argument| parameter)?,? "
    r"(?:is|are|may|can|must|should|will|has|means|names|sets|tells|gives|specifies|defaults|determines|indicates|"
    r"controls|defines|contains|describes|represents|denotes)\b"
)
_MARKED = r"(?:``{name}``|`{name}`|\*{name}\*|'{name}'|\"{name}\")"


@dataclass(frozen=True)
class ParameterNote:
    """One sentence about one parameter, and the passage that holds it."""

    name: str
    text: str
    passage_id: str


def parameter_notes(entry: Entry) -> list[ParameterNote]:
    """Return at most one note for each parameter of the shown signature, in the order of the signature."""
    known = parameters(entry.signature)
    notes: dict[str, ParameterNote] = {}
    for number, passage in enumerate(entry.passages):
        for name, text in _listed(passage.text):
            described = _cut(next(sentences(plain(text)), ""))
            if name in known and described:
                notes.setdefault(name, ParameterNote(name, f"{name}: {described}", passage.id))
        for name in known:
            if name not in notes and len(name) > 1 and (found := _in_prose(name, passage, skip_first=number == 0)):
                notes[name] = found
    return [notes[name] for name in known if name in notes]


def _listed(text: str) -> Iterator[tuple[str, str]]:
    for pattern in (_FIELD, _LISTED, _NUMPY, _DASHED):
        for found in pattern.finditer(text):
            groups = found.groupdict()
            yield groups["name"] or groups["name2"], groups["text"] or groups["text2"]


def _in_prose(name: str, passage: Passage, skip_first: bool) -> ParameterNote | None:
    """Return the first sentence about a parameter, or else the first that mentions it in quotes or marked as code."""
    prose = list(_prose_sentences(passage.text))[1 if skip_first else 0 :]
    about = re.compile(_ABOUT.format(name=re.escape(name)))
    marked = re.compile(_MARKED.format(name=re.escape(name)))
    hits = [one for one in prose if about.search(plain(one))] + [one for one in prose if marked.search(one)]
    for sentence in hits:
        described = _cut(plain(sentence))
        if described and len(described.split()) >= 4 and re.search(rf"\b{re.escape(name)}\b", described):
            return ParameterNote(name, described, passage.id)
    return None


def _prose_sentences(text: str) -> Iterator[str]:
    for paragraph in paragraphs(text):
        if ">>>" not in paragraph and not re.search(
            r"^\s{2,}", paragraph, re.MULTILINE
        ):  # code and tables are no prose
            yield from sentences(" ".join(paragraph.split()))


def _cut(sentence: str) -> str | None:
    """Return a whole sentence with its full stop, or None for one that is too long or no prose."""
    words = sentence.split()
    if (
        not 2 <= len(words) <= LONGEST_SENTENCE
        or sentence.endswith((":", ",", ";"))
        or not re.search("[a-z]{2}", sentence)
    ):
        return None
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
