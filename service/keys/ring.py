"""The keys of a running service: those of its file, read again when it changes."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from semiparametric.errors import InputError
from service.keys.key import Key, find
from service.keys.key_file import read_keys

logger = logging.getLogger(__name__)

LOOK_S = 1.0
"""Seconds after which the file is looked at again; so long a revoked key may still be taken."""

_Stamp = tuple[int, int, int] | None


class KeyRing:
    """The keys of a file.

    A file that is gone leaves no key: everybody is refused. One that cannot be read, or is no file of keys, leaves
    those that were read last. Both stand in the log.

    Args:
        path: The file.
        look_s: Seconds after which it is looked at again.

    Raises:
        InputError: It cannot be read.
    """

    def __init__(self, path: Path, *, look_s: float = LOOK_S) -> None:
        self._path = path
        self._look_s = look_s
        self._stamp = _stamp(path)
        self._keys: Sequence[Key] = read_keys(path)
        self._looked = monotonic()

    async def find(self, secret: str) -> Key | None:
        """The key with this secret, if there is one."""
        if monotonic() - self._looked >= self._look_s:
            self._looked = monotonic()
            await asyncio.to_thread(self._look)
        return find(self._keys, secret)

    def _look(self) -> None:
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        if stamp is None:
            logger.error("%s: the file of keys is gone, so nobody is let in", self._path)
            self._keys = []
            return
        try:
            self._keys = read_keys(self._path)
        except InputError as error:
            logger.error("%s. The keys that were read before stay", error)  # noqa: TRY400 - its text says it all
            return
        logger.info("the file of keys has changed", extra={"fields": {"keys": len(self._keys)}})


def _stamp(path: Path) -> _Stamp:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
