"""Who may enter an engine: so many sessions at once, a line of bounded length before them."""

import asyncio

from semiparametric.errors import BusyError
from service.decoding.engine import Load


class Places:
    """The places of an engine.

    Args:
        max_sessions: Sessions at once.
        max_waiting: Calls of `take` that may wait for a place; more are refused.
    """

    def __init__(self, max_sessions: int, max_waiting: int) -> None:
        self._free = asyncio.Semaphore(max_sessions)
        self._max_sessions = max_sessions
        self._max_waiting = max_waiting
        self._waiting = 0
        self._taken = 0

    @property
    def load(self) -> Load:
        """How many places are taken and waited for."""
        return Load(self._taken, self._waiting, self._max_sessions)

    async def take(self) -> None:
        """Wait for a place.

        Raises:
            BusyError: All places are taken and too many wait.
        """
        if self._free.locked() and self._waiting >= self._max_waiting:
            raise BusyError(f"all places are taken and {self._waiting} requests wait", remedy="Try again later")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        self._taken += 1

    def give_back(self) -> None:
        """Let the next one in."""
        self._taken -= 1
        self._free.release()
