"""What a reader of one record format is: records of a file, and the passages that each becomes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from semiparametric.formats import Passage


class RecordReader(Protocol):
    """Reads one file.

    Attributes:
        unit: What a record is called in a message: line, row, record.
    """

    unit: str

    def __init__(self, path: Path) -> None: ...

    def records(self) -> Iterator[tuple[int, Any]]:
        """Stream the records as they stand, with their numbers from 1. An InputError here is one of the file."""
        ...

    def passages(self, raw: Any, where: str) -> Iterator[Passage]:
        """What a record becomes. An InputError here, raised with its place `where`, is one of the record alone."""
        ...
