"""Fetching query states from vLLM's workers: all that wait at a time in one call."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from semiparametric.errors import CosupError
from service.engines.vllm.protocol import TAKE

Call = Callable[..., Awaitable[list[Any]]]


class States:
    """States by the names under which they were asked for.

    Args:
        call: `call(method, *arguments)` runs a method in every worker and returns their results.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._wanted: dict[str, asyncio.Future[bytes]] = {}
        self._fetching: asyncio.Task[None] | None = None

    async def fetch(self, name: str) -> bytes:
        """The bytes of a state, `float32[hidden]`, whose request has ended.

        Raises:
            CosupError: No worker has it, or they cannot be asked.
        """
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._wanted[name] = future
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_all())
        return await future

    async def _fetch_all(self) -> None:
        try:
            while self._wanted:
                wanted, self._wanted = self._wanted, {}
                outcomes = await self._outcomes(list(wanted))
                for name, future in wanted.items():
                    if not future.done():  # its client is still there
                        _settle(future, outcomes[name])
        finally:
            self._fetching = None

    async def _outcomes(self, names: list[str]) -> dict[str, bytes | Exception]:
        """The state of each name, or why there is none."""
        try:
            by_worker = await self._call(TAKE, names)
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, not to the task that fetches
            return dict.fromkeys(names, error)
        found = {name: state for states in by_worker for name, state in states.items()}
        return {name: found.get(name) or CosupError("vLLM kept no query state", remedy="Ask again") for name in names}


def _settle(future: asyncio.Future[bytes], outcome: bytes | Exception) -> None:
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
