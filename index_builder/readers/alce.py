"""ALCE: lists of documents, on their own or as the `docs` of questions."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from semiparametric.formats import Passage, SourceRecord, checked, content_id
from semiparametric.json_values import array_values, first_character, line_value
from semiparametric.lines import raw_lines


class _Document(SourceRecord):
    id: str | None = Field(default=None, max_length=1024)
    title: str = ""
    text: str


class _Question(SourceRecord):
    docs: list[_Document]


class AlceDocuments:
    """One array, or one value on each line. A document without an id is named by what it says.

    Documents of many questions are often the same; each is a passage once.
    """

    unit = "record"

    def __init__(self, path: Path) -> None:
        self.path = path

    def records(self) -> Iterator[tuple[int, Any]]:
        """The array's values, or the lines."""
        if first_character(self.path) == "[":
            yield from enumerate(array_values(self.path), start=1)
        else:
            yield from raw_lines(self.path)

    def passages(self, raw: Any, where: str) -> Iterator[Passage]:
        """The passages of a question's documents, or that of a document; one without text becomes none."""
        value = line_value(raw, where) if isinstance(raw, bytes) else raw
        if isinstance(value, dict) and "docs" in value:
            documents = checked(value, _Question, where).docs
        else:
            documents = [checked(value, _Document, where)]
        for document in documents:
            title, text = document.title.strip(), document.text.strip()
            if text:
                yield Passage(id=document.id or content_id("alce", title, text), title=title, text=text)
