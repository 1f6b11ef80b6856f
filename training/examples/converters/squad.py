"""SQuAD 1.1 and 2.0: articles with paragraphs, and questions whose answers stand in them."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from training.examples.converters.converted import Converted, content_passage, distinct, segment_text
from training.examples.converters.records import SourceRecord, read_records
from training.examples.settings import ConvertSettings


class _Answer(SourceRecord):
    text: str


class _Question(SourceRecord):
    id: str = Field(min_length=1)
    question: str
    answers: list[_Answer] = Field(default_factory=list)
    is_impossible: bool = False


class _Paragraph(SourceRecord):
    context: str
    qas: list[_Question]


class _Article(SourceRecord):
    title: str = ""
    paragraphs: list[_Paragraph]


def convert_squad(path: Path, settings: ConvertSettings) -> Iterator[Converted]:
    """One passage for each paragraph, one example for each question about it.

    Raises:
        InputError: A record lacks a field, or an answer does not stand in its paragraph.
    """
    for where, article in read_records(path, _Article, key="data"):
        for number, paragraph in enumerate(article.paragraphs):
            passage = content_passage("squad", article.title.replace("_", " "), paragraph.context)
            if passage is None:
                continue
            yield Converted(passages=(passage,))
            for question in paragraph.qas:
                place = f"{where}, field paragraphs.{number}.qas, question {question.id!r}"
                yield _converted(question, passage, settings, place)


def _converted(question: _Question, passage: Passage, settings: ConvertSettings, where: str) -> Converted:
    if not question.question.strip():
        return Converted(left_out="blank question")
    answers = [] if question.is_impossible else distinct(answer.text for answer in question.answers)
    if not answers and not settings.unanswerable:
        return Converted(left_out="no answer (kept with --unanswerable)")
    segments = []
    if answers:
        if answers[0] not in passage.text:
            raise InputError(
                f"the answer {answers[0]!r} does not stand in its context",
                where=f"{where}, field answers.0.text",
                remedy="An answer is a stretch of the context, letter by letter",
            )
        text = segment_text(answers[0], passage.text, settings.segment_text)
        segments.append(Segment(text=text, passage_id=passage.id))
    return Converted(
        Example(
            id=question.id,
            task=settings.task or ("squad" if answers else "unanswerable"),
            question=question.question.strip(),
            answers=answers,
            segments=segments,
        )
    )
