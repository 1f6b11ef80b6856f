"""Parquet: its columns are the fields of a passage; other scalars become metadata."""

import math
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from semiparametric.errors import InputError
from semiparametric.formats import Passage, checked

_ROWS = 16  # taken out of a row group at once: a dictionary makes gigabytes of many rows from a few bytes
_NEEDED = ("id", "text")


class ParquetRows:
    """One passage in each row, row group by row group. `metadata` may be a struct or a map."""

    unit = "row"

    def __init__(self, path: Path) -> None:
        self.path = path

    def records(self) -> Iterator[tuple[int, Any]]:
        """The rows; one that cannot be read as text is given as the error that it is."""
        number = 0
        try:
            with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=1 << 20) as file:
                self._check_columns(file.schema_arrow.names)
                for batch in file.iter_batches(batch_size=_ROWS):
                    for row in _rows(batch):
                        number += 1
                        yield number, row
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"cannot be read as Parquet ({error})", where=f"{self.path}, after row {number}"
            ) from error

    def passages(self, raw: Any, where: str) -> Iterator[Passage]:
        """The passage of a row."""
        if isinstance(raw, UnicodeDecodeError):
            raise InputError(f"a text is not UTF-8 ({raw.reason})", where=where) from raw
        values = {name: _plain(value) for name, value in raw.items()}
        yield checked({name: value for name, value in values.items() if value is not None}, Passage, where)

    def _check_columns(self, names: list[str]) -> None:
        missing = [name for name in _NEEDED if name not in names]
        if missing:
            raise InputError(
                f"there is no column {missing[0]!r}, only {', '.join(names)}",
                where=str(self.path),
                remedy="Name the columns as the fields of a passage: id, text, title, source, metadata",
            )


def _rows(batch: pa.RecordBatch) -> Iterator[Any]:
    try:
        yield from batch.to_pylist(maps_as_pydicts="lossy")
    except UnicodeDecodeError:  # all of a batch or nothing: find the row
        for at in range(batch.num_rows):
            try:
                yield batch.slice(at, 1).to_pylist(maps_as_pydicts="lossy")[0]
            except UnicodeDecodeError as error:
                yield error


def _plain(value: Any) -> Any:
    """A value as JSON would hold it; None where there is none."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        entries = {str(name): _plain(entry) for name, entry in value.items()}
        return {name: entry for name, entry in entries.items() if entry is not None}
    return value
