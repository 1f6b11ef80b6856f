"""ALCE: questions with long or short gold answers and candidate documents."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from semiparametric.sentences import sentences
from training.examples.converters.converted import Converted, content_passage, distinct, holds
from training.examples.converters.records import SourceRecord, read_records
from training.examples.settings import ConvertSettings

_MARKS = re.compile(r"\s*\[(\d+)\](?:\s*\[\d+\])*")


class _Document(SourceRecord):
    id: str | None = None
    title: str = ""
    text: str


class _Pair(SourceRecord):
    short_answers: list[str] = Field(default_factory=list)


class _Record(SourceRecord):
    sample_id: str | None = None
    id: str | None = None
    question: str
    answer: str | None = None
    answers: list[list[str] | str] = Field(default_factory=list)
    qa_pairs: list[_Pair] | None = None
    docs: list[_Document] = Field(default_factory=list)


def convert_alce(path: Path, settings: ConvertSettings) -> Iterator[Converted]:
    """One example for each record; its documents become passages.

    Where the gold answer carries marks such as `[2]`, the sentence is cited from the first document it names. A
    sentence without a mark is cited from the first document that holds the same short answer as it; else it is plain.

    Raises:
        InputError: A record lacks a field, or a mark names a document that there is not.
    """
    for where, record in read_records(path, _Record):
        passages = [_passage(document) for document in record.docs]
        present = tuple(passage for passage in passages if passage is not None)
        answers, short = _answers(record)
        if not record.question.strip() or not answers:
            yield Converted(passages=present, left_out="no answer" if record.question.strip() else "blank question")
            continue
        long = (record.answer or "").strip()
        segments = list(_segments(long, short, passages, where)) if long else _listed(answers, present)
        name = record.sample_id or record.id or f"{path.name.split('.')[0]}-{where.rsplit(' ', 1)[1]}"
        example = Example(
            id=name,
            task=settings.task or path.name.split(".")[0],
            question=record.question.strip(),
            answers=answers,
            segments=segments,
        )
        yield Converted(example, present)


def _passage(document: _Document) -> Passage | None:
    named = content_passage("alce", document.title, document.text)
    return named.model_copy(update={"id": document.id}) if named and document.id else named


def _answers(record: _Record) -> tuple[list[str], list[str]]:
    """All acceptable answers, a long one without its marks first, and the short ones among them."""
    listed = [text for entry in record.answers for text in ([entry] if isinstance(entry, str) else entry)]
    short = distinct([text for pair in record.qa_pairs or [] for text in pair.short_answers] + listed)
    return distinct([_MARKS.sub("", record.answer or ""), *short]), short


def _segments(answer: str, short: Sequence[str], passages: Sequence[Passage | None], where: str) -> Iterator[Segment]:
    for sentence in _marked_sentences(answer):
        mark = _MARKS.search(sentence)
        text = _MARKS.sub("", sentence).strip()
        if not text:
            continue
        if mark is None:
            yield Segment(text=text, passage_id=_holding(text, short, passages))
            continue
        number = int(mark[1])
        if not 1 <= number <= len(passages):
            raise InputError(
                f"the mark [{number}] names none of {len(passages)} documents",
                where=f"{where}, field answer",
                remedy="Marks count the entries of docs from 1",
            )
        passage = passages[number - 1]
        yield Segment(text=text, passage_id=passage.id if passage else None)


def _marked_sentences(answer: str) -> list[str]:
    """Sentences with their marks; a mark that stands behind the full stop belongs to the sentence before it."""
    return sentences(re.sub(r"([.!?])((?:\s*\[\d+\])+)", r"\2\1", answer))


def _holding(sentence: str, short: Sequence[str], passages: Sequence[Passage | None]) -> str | None:
    said = [answer for answer in short if holds(sentence, answer)]
    fitting = (one.id for answer in said for one in passages if one and holds(one.text, answer))
    return next(fitting, None)


def _listed(answers: Sequence[str], passages: Sequence[Passage]) -> list[Segment]:
    """Short answers one after another, each cited from the first document that holds it."""
    return [Segment(text=answer, passage_id=_holding(answer, [answer], passages)) for answer in answers]
