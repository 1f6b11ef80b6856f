"""Records that cannot become passages: the first one stops a build, or they are counted and written to a file."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from index_builder.reading_settings import OnError
from semiparametric.errors import InputError
from semiparametric.store.failures import storage_errors

logger = logging.getLogger(__name__)

_RAW_CHARACTERS = 2000  # of a rejected record: enough to recognise it, little enough for a million of them


class Rejects:
    """What is done with bad records.

    Attributes:
        on_error: `stop` raises the error of the first one, `skip` writes each to the file and goes on.
        path: The file, JSON lines with `where`, `why` and `raw`; there is one only where there are rejects. None
            counts them and writes none.
        count: How many there were in the last reading.
    """

    def __init__(self, on_error: OnError = "stop", path: Path | None = None) -> None:
        self.on_error = on_error
        self.path = path
        self.count = 0
        self._file: IO[str] | None = None

    @contextmanager
    def open(self) -> Iterator[None]:
        """A reading: counts from 0 and replaces the file of the last one."""
        self.count = 0
        if self.on_error == "skip" and self.path:
            with storage_errors(self.path.parent):
                self.path.unlink(missing_ok=True)
        try:
            yield
        finally:
            if self._file is not None:
                with storage_errors(Path(self._file.name).parent):
                    self._file.close()
                self._file = None
        if self.count:
            logger.warning("%d records were rejected%s", self.count, f", see {self.path}" if self.path else "")

    def add(self, error: InputError, raw: Any = None) -> None:
        """Take a bad record.

        Args:
            error: What is wrong with it, and where it stands.
            raw: The record as it was read; its first characters are kept.

        Raises:
            InputError: The given one, where bad records stop a build.
            StoreError: The file cannot be written.
        """
        if self.on_error == "stop":
            raise error
        self.count += 1
        if self.path is None:
            return
        entry = {"where": error.where, "why": error.message, "raw": _shown(raw)}
        with storage_errors(self.path.parent):
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = self.path.open("w", encoding="utf-8")
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")


def _shown(raw: Any) -> str:
    if raw is None:
        return ""
    if isinstance(raw, bytes):
        return raw[: 4 * _RAW_CHARACTERS].decode(errors="replace")[:_RAW_CHARACTERS].rstrip("\r\n")
    text = raw if isinstance(raw, str) else json.dumps(raw, ensure_ascii=False, default=str)
    return text[:_RAW_CHARACTERS].encode(errors="replace").decode()
