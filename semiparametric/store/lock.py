"""One build at a time: a lock on an index's folder that says who holds it and ends with its process."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from semiparametric.errors import BusyError
from semiparametric.store.failures import storage_errors

LOCK = ".lock"


@contextmanager
def build_lock(index: Path) -> Iterator[None]:
    """Hold the right to write versions of an index.

    The kernel frees it when the process ends, however it ends, so there is never a stale lock to remove.
    Readers need no lock.

    Raises:
        BusyError: Another build holds it; the message says which.
        StoreError: The folder cannot be made or written.
    """
    with _lock_file(index) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(index, file) from error
        started = datetime.now(UTC).isoformat(timespec="seconds")
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": started}) + "\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


def refuse_if_locked(index: Path) -> None:
    """Ask whether a build could begin now, without beginning one or writing anything.

    Raises:
        BusyError: Another build holds the lock; the message says which.
    """
    path = index / LOCK
    if not path.is_file() or not path.stat().st_size:  # nobody holds it: so no build that begins now can meet us here
        return
    with path.open("r", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _busy(index, file) from error


def _busy(index: Path, file: TextIO) -> BusyError:
    file.seek(0)
    return BusyError(
        f"another build is writing this index: {_holder(file.read())}",
        where=str(index),
        remedy="Wait for it to end, or build into another folder",
    )


def _lock_file(index: Path) -> TextIO:
    with storage_errors(index):
        index.mkdir(parents=True, exist_ok=True)
        return (index / LOCK).open("a+", encoding="utf-8")


def _holder(text: str) -> str:
    """The lock file in words. It may be empty for the moment between locking and writing."""
    try:
        holder = json.loads(text)
    except json.JSONDecodeError:
        return "it has just begun"
    return f"process {holder['pid']} on {holder['host']}, since {holder['started']}"
