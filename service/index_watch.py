"""Looking, at an interval, for versions that were published while the service runs."""

import asyncio
import logging
from time import monotonic

from semiparametric.errors import StoreError
from service.index_version import read_published
from service.indexes import Indexes, ServedIndex

logger = logging.getLogger(__name__)

_LONGEST_WAIT_S = 3600.0  # a damaged version is verified again at the latest after this


async def watch(indexes: Indexes, interval_s: float) -> None:
    """Follow what is published in the folders of all indexes until cancelled."""
    followers = [Follower(index, interval_s) for index in indexes.values()]
    while True:
        await asyncio.sleep(interval_s)
        for follower in followers:
            try:
                await follower.look()
            except Exception:  # a watch that ended would leave the service on old versions for ever
                logger.exception("looking for another version failed")


class Follower:
    """Follows one index.

    A version that is refused is tried again, since a disk may come back, but ever more seldom, since verifying reads
    all of it. Another one that is published is tried at once.
    """

    def __init__(self, index: ServedIndex, interval_s: float) -> None:
        self._index = index
        self._interval_s = interval_s
        self._wait_s = interval_s
        self._next_try = 0.0

    async def look(self) -> None:
        """Look once; serve what is published. A refusal is in the log."""
        try:
            if self._index.refused is None or monotonic() >= self._next_try or await self._is_another():
                await self._index.refresh()
                self._wait_s = self._interval_s
        except StoreError:
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
            self._next_try = monotonic() + self._wait_s

    async def _is_another(self) -> bool:
        return await asyncio.to_thread(read_published, self._index.folder) != self._index.refused
