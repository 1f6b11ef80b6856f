"""KILT: task files whose answers name the paragraphs of Wikipedia pages that they come from."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import Field

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from training.examples.converters.converted import Converted, distinct, holds, segment_text
from training.examples.converters.kilt_pages import Paragraph, read_paragraphs
from training.examples.converters.records import SourceRecord, read_records
from training.examples.settings import ConvertSettings

Pages = Mapping[str, Sequence[Paragraph]]


class _Provenance(SourceRecord):
    wikipedia_id: str | None = None
    start_paragraph_id: int | None = None
    end_paragraph_id: int | None = None
    bleu_score: float | None = None


class _Output(SourceRecord):
    answer: str | None = None
    provenance: list[_Provenance] = Field(default_factory=list)


class _Record(SourceRecord):
    id: str = Field(min_length=1)
    input: str
    output: list[_Output]


def convert_kilt(path: Path, settings: ConvertSettings) -> Iterator[Converted]:
    """One example for each record, cited from the passage that its provenance names.

    The file is read twice and the corpus once between, so that only the passages of pages that are named are held.

    Raises:
        InputError: There is no corpus, its passages do not name pages, or a record lacks a field.
    """
    if settings.corpus is None:
        raise InputError(
            "KILT files name pages, not passages",
            where="--corpus",
            remedy="Give the KILT knowledge source, or a corpus whose passages name their page and paragraphs",
        )
    needed = {
        provenance.wikipedia_id
        for _, record in read_records(path, _Record)
        for output in record.output
        for provenance in output.provenance
    }
    pages: dict[str, list[Paragraph]] = {}
    for paragraph in read_paragraphs(settings.corpus):
        is_named = paragraph.page in needed
        if is_named:
            pages.setdefault(paragraph.page, []).append(paragraph)
        if paragraph.is_new and (is_named or settings.all_pages):
            yield Converted(passages=(paragraph.passage,))
    task = settings.task or re.sub(r"[-_](train|dev|test).*", "", path.name.split(".")[0])
    for _, record in read_records(path, _Record):
        yield _converted(record, pages, task, settings)


def _converted(record: _Record, pages: Pages, task: str, settings: ConvertSettings) -> Converted:
    answers = distinct(output.answer for output in record.output)
    if not record.input.strip() or not answers:
        return Converted(left_out="no answer" if record.input.strip() else "blank question")
    found = _cited(record.output, answers, pages, settings)
    if isinstance(found, str):
        return Converted(left_out=found)
    answer, passage = found
    text = segment_text(answer, passage.text, settings.segment_text)
    segments = [Segment(text=text, passage_id=passage.id)]
    return Converted(
        Example(id=record.id, task=task, question=record.input.strip(), answers=answers, segments=segments)
    )


def _cited(
    outputs: Sequence[_Output], answers: Sequence[str], pages: Pages, settings: ConvertSettings
) -> tuple[str, Passage] | str:
    """The answer with its passage, or in words why there is none.

    Of several passages one that holds the answer is taken, else the first that the provenance names by paragraph.
    """
    reason = "no provenance"
    first: tuple[str, Passage] | None = None
    for output in outputs:
        own = distinct([output.answer]) or answers  # some outputs are further evidence for the answers of others
        for provenance in output.provenance:
            if provenance.bleu_score is not None and provenance.bleu_score < settings.min_bleu:
                reason = f"bleu_score under {settings.min_bleu}"
                continue
            named = [paragraph.passage for paragraph in _named(provenance, pages)]
            for answer in own:
                holding = next((passage for passage in named if holds(passage.text, answer)), None)
                if holding is not None:
                    return answer, holding
            if named and provenance.start_paragraph_id is not None and first is None:
                first = own[0], named[0]
            reason = "no passage of the corpus is named" if not named else "no passage of the page holds the answer"
    return first or reason


def _named(provenance: _Provenance, pages: Pages) -> list[Paragraph]:
    """The paragraphs between start and end; without a start, those of the whole page."""
    page = pages.get(str(provenance.wikipedia_id), [])
    start, end = provenance.start_paragraph_id, provenance.end_paragraph_id
    if start is None:
        return list(page)
    last = max(start, start if end is None else end)
    return [paragraph for paragraph in page if paragraph.start <= last and paragraph.end >= start]
