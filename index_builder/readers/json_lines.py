"""JSON lines: Cosup's own corpus format, and that of BEIR."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from semiparametric.formats import Passage, Scalar, SourceRecord, parse_json
from semiparametric.lines import raw_lines


class PassageLines:
    """Passages as they are, one on each line."""

    unit = "line"

    def __init__(self, path: Path) -> None:
        self.path = path

    def records(self) -> Iterator[tuple[int, bytes]]:
        """The lines."""
        return raw_lines(self.path)

    def passages(self, raw: bytes, where: str) -> Iterator[Passage]:
        """The passage of a line."""
        yield parse_json(raw, Passage, where)


class _BeirDocument(SourceRecord):
    id: str = Field(alias="_id", min_length=1, max_length=1024)
    title: str = ""
    text: str = Field(min_length=1)
    metadata: dict[str, Any] | None = None


class BeirLines(PassageLines):
    """The documents of a BEIR set's `corpus.jsonl`; the scalars of their metadata are kept."""

    def passages(self, raw: bytes, where: str) -> Iterator[Passage]:
        """The passage of a document."""
        document = parse_json(raw, _BeirDocument, where)
        metadata = {name: value for name, value in (document.metadata or {}).items() if isinstance(value, Scalar)}
        yield Passage(id=document.id, title=document.title, text=document.text, metadata=metadata)
