"""What a converter gives, record by record, and the pieces that several converters make it of."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from semiparametric.formats import Example, Passage, content_id
from semiparametric.sentences import sentences

SegmentText = Literal["answer", "sentence"]


@dataclass(frozen=True)
class Converted:
    """What one record of a source became.

    Attributes:
        example: The example, or None where none can be made of the record.
        passages: Passages that the record carries, whether the example cites them or not.
        left_out: Why there is no example, in words that are counted; None where none was to be expected.
    """

    example: Example | None = None
    passages: tuple[Passage, ...] = ()
    left_out: str | None = None


def content_passage(prefix: str, title: str, text: str, *, source: str | None = None) -> Passage | None:
    """A passage named by what it says, so that the same text gets the same id from every record and file.

    None where the text is blank.
    """
    title, text = title.strip(), text.strip()
    if not text:
        return None
    return Passage(id=content_id(prefix, title, text), title=title, text=text, source=source)


def distinct(texts: Iterable[str | None]) -> list[str]:
    """The texts that are not blank, stripped, each once, in order."""
    return list(dict.fromkeys(text.strip() for text in texts if text and text.strip()))


def words(text: str) -> list[str]:
    """The words of a text, lowered, without punctuation."""
    return re.findall(r"\w+", text.lower())


def holds(text: str, answer: str) -> bool:
    """Whether the words of the answer stand in the text, next to one another."""
    wanted = " ".join(words(answer))
    return bool(wanted) and f" {wanted} " in f" {' '.join(words(text))} "


def segment_text(answer: str, passage: str, form: SegmentText) -> str:
    """What a segment says: the answer, or the first sentence of the passage that holds it, where one does."""
    if form == "answer":
        return answer
    return next((found.strip() for found in sentences(passage) if holds(found, answer)), answer)


def closest_sentence(question: str, passage: str) -> str:
    """The sentence of a passage that shares most words with the question, the first of equals."""
    asked = set(words(question))
    candidates: Sequence[str] = [found.strip() for found in sentences(passage) if found.strip()] or [passage]
    return max(candidates, key=lambda found: len(asked.intersection(words(found))))
