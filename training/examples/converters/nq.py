"""Natural Questions and its kin in DPR's form: question, answers, and contexts that hold the answer or do not."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import AliasChoices, Field

from semiparametric.formats import Example, Passage, Segment
from training.examples.converters.converted import Converted, content_passage, distinct, holds, segment_text
from training.examples.converters.records import SourceRecord, read_records
from training.examples.settings import ConvertSettings


class _Context(SourceRecord):
    id: str | None = Field(default=None, validation_alias=AliasChoices("passage_id", "psg_id"))
    title: str = ""
    text: str

    def passage(self) -> Passage | None:
        """None where the text is blank."""
        named = content_passage("nq", self.title, self.text)
        return named.model_copy(update={"id": self.id}) if named and self.id else named


class _Record(SourceRecord):
    dataset: str = "nq"
    question: str
    answers: list[str]
    positive_ctxs: list[_Context]
    negative_ctxs: list[_Context] = Field(default_factory=list)
    hard_negative_ctxs: list[_Context] = Field(default_factory=list)


def convert_nq(path: Path, settings: ConvertSettings) -> Iterator[Converted]:
    """One example for each record, cited from its first positive context, with its hard negatives.

    All its contexts go into the corpus. Passages are named by `passage_id` (or `psg_id`), else by their text.

    Raises:
        InputError: A record lacks a field, or a field has another type.
    """
    for where, record in read_records(path, _Record):
        number = where.rsplit(" ", 1)[1]
        yield _converted(record, f"{path.name.split('.')[0]}-{number}", settings)


def _converted(record: _Record, name: str, settings: ConvertSettings) -> Converted:
    positives = _passages(record.positive_ctxs)
    hard = _passages(record.hard_negative_ctxs)
    everything = tuple(positives + hard + _passages(record.negative_ctxs))
    answers = distinct(record.answers)
    for condition, reason in (
        (record.question.strip(), "blank question"),
        (answers, "no answer"),
        (positives, "no positive context"),
    ):
        if not condition:
            return Converted(passages=everything, left_out=reason)
    gold = positives[0]
    answer = next((answer for answer in answers if holds(gold.text, answer)), answers[0])
    golds = {passage.id for passage in positives}
    ids = list(dict.fromkeys(passage.id for passage in hard if passage.id not in golds))
    segment = Segment(
        text=segment_text(answer, gold.text, settings.segment_text),
        passage_id=gold.id,
        negatives=ids[: settings.negatives],
    )
    example = Example(
        id=name,
        task=settings.task or record.dataset,
        question=record.question.strip(),
        answers=answers,
        segments=[segment],
    )
    return Converted(example, everything)


def _passages(contexts: Sequence[_Context]) -> list[Passage]:
    return [passage for context in contexts if (passage := context.passage()) is not None]
