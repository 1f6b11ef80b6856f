"""Wikipedia pages by paragraph: the KILT knowledge source, or a corpus whose passages name their paragraphs."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from semiparametric.errors import InputError
from semiparametric.formats import Passage
from semiparametric.kilt import kilt_passages
from training.examples.converters.records import SourceRecord, checked, read_records


@dataclass(frozen=True)
class Paragraph:
    """A passage with its place: page and paragraphs `start` to `end`, inclusive.

    `is_new`: whether the passage was made here and has to be written to a corpus.
    """

    page: str
    start: int
    end: int
    passage: Passage
    is_new: bool


class _Anything(SourceRecord):
    wikipedia_id: str | None = None
    wikipedia_title: str = ""
    text: Any = None
    id: Any = None
    title: Any = ""
    source: Any = None
    metadata: dict[str, Any] | None = None
    start_paragraph_id: int | None = None
    end_paragraph_id: int | None = None


class _Page(SourceRecord):
    wikipedia_id: str
    wikipedia_title: str
    text: list[str]


class _Place(SourceRecord):
    wikipedia_id: str
    start_paragraph_id: int
    end_paragraph_id: int | None = None


def read_paragraphs(corpus: Path) -> Iterator[Paragraph]:
    """Stream the paragraphs of a corpus in either form, told apart by each record's `text`.

    From the knowledge source, the paragraph n of a page becomes the passage `<wikipedia_id>-<n>`. The first one, which
    repeats the title, and headings become none.

    Raises:
        InputError: A record is neither a page nor a passage that names its page and paragraph.
    """
    for where, record in read_records(corpus, _Anything):
        if isinstance(record.text, list):
            yield from _paragraphs(checked(record.model_dump(), _Page, where))
        else:
            yield _placed(record, where)


def _paragraphs(page: _Page) -> Iterator[Paragraph]:
    for number, passage in kilt_passages(page.wikipedia_id, page.wikipedia_title, page.text):
        yield Paragraph(page.wikipedia_id, number, number, passage, is_new=True)


def _placed(record: _Anything, where: str) -> Paragraph:
    own = {name: value for name, value in record.model_dump().items() if value is not None}
    try:
        place = _Place.model_validate(own | (record.metadata or {}))
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"])
        raise InputError(
            "the passage does not say which paragraph of which page it is",
            where=f"{where}, field metadata.{field}",
            remedy="Name wikipedia_id, start_paragraph_id and, of several paragraphs, end_paragraph_id in its metadata",
        ) from error
    passage = checked({name: own.get(name) for name in ("id", "title", "text")}, Passage, where)
    last = place.end_paragraph_id if place.end_paragraph_id is not None else place.start_paragraph_id
    return Paragraph(place.wikipedia_id, place.start_paragraph_id, last, passage, is_new=False)
