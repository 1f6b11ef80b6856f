"""Clients that vanish at every stage of an answer: whether anything of them stays behind in the service."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import httpx

from benchmarks.service_process import POOL_THREADS, Footprint, counted, footprint, raw_post, sessions, until
from cosup.child_service import ChildService

_AT_ONCE = 32
_QUESTION = {"question": "What does the keeper write down?", "retrieval": "first", "max_new_tokens": 400}

Stage = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Random], Awaitable[None]]


@dataclass
class HangUps:
    """What was left after clients had vanished.

    stages: how many vanished at which stage.
    ended: requests of theirs that the service counts as ended; one that never ends is missing here.
    sessions: answers and waiting requests when all was over.
    answered: whether an ordinary question was answered afterwards.
    """

    before: Footprint
    after: Footprint
    ended: int
    sessions: int
    answered: bool
    stages: Counter[str] = field(default_factory=Counter)

    @property
    def clients(self) -> int:
        """How many vanished."""
        return self.stages.total()

    @property
    def left_files(self) -> int:
        """Open files, sockets included, that were not there before."""
        return max(0, self.after.open_files - self.before.open_files)

    @property
    def left_threads(self) -> int:
        """Threads that were not there before, beyond those that asyncio's pool may have made meanwhile."""
        return max(0, self.after.threads - self.before.threads - POOL_THREADS)


async def _before_the_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dice: Random) -> None:
    await asyncio.sleep(dice.uniform(0, 0.05))
    writer.close()


async def _with_a_word(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dice: Random) -> None:
    await _some_tokens(reader, dice)
    writer.close()


async def _without_a_word(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dice: Random) -> None:
    await _some_tokens(reader, dice)
    writer.transport.abort()  # a reset, since what it has received is not read


async def _some_tokens(reader: asyncio.StreamReader, dice: Random) -> None:
    with suppress(asyncio.IncompleteReadError):  # its answer was shorter, and it vanishes at the end of it
        for _ in range(dice.randint(1, 8)):
            await reader.readuntil(b"event: token\n")


# Name, whether the answer is streamed, and what the client does once it has asked.
_STAGES: list[tuple[str, bool, Stage]] = [
    ("before a stream", True, _before_the_answer),
    ("mid-stream", True, _with_a_word),
    ("mid-stream, by a reset", True, _without_a_word),
    ("before a whole answer", False, _before_the_answer),
]


async def run_hangups(service: ChildService, clients: int, *, seed: int = 0) -> HangUps:
    """Have so many clients ask and vanish, some at a time, after some more have warmed a new service up."""
    async with httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False) as http:
        await _vanish_all(service.url, 2 * _AT_ONCE, seed + 1)
        await _settled(http, 2 * _AT_ONCE)
        before = footprint(service.pid)
        stages = await _vanish_all(service.url, clients, seed)
        await _settled(http, 2 * _AT_ONCE + clients)
        after, ended, left = footprint(service.pid), await _ended(http) - 2 * _AT_ONCE, await sessions(http)
        reply = await http.post("/generate", json=_QUESTION | {"max_new_tokens": 4})
        return HangUps(before, after, int(ended), int(left), reply.is_success, stages)


async def _settled(http: httpx.AsyncClient, asked: int) -> None:
    """Wait until all that was asked has ended, and with it the sessions."""

    async def is_so() -> bool:
        return await _ended(http) == asked and await sessions(http) == 0

    await until(is_so)


async def _ended(http: httpx.AsyncClient) -> float:
    return await counted(http, "cosup:http_requests_total", route="/generate")


async def _vanish_all(url: str, clients: int, seed: int) -> Counter[str]:
    stages, gate = Counter[str](), asyncio.Semaphore(_AT_ONCE)

    async def vanish(number: int) -> None:
        name, is_streamed, stage = _STAGES[number % len(_STAGES)]
        async with gate:
            reader, writer = await _asked(url, _QUESTION | {"stream": is_streamed})
            await stage(reader, writer, Random(seed * clients + number))
        stages[name] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(vanish(number))
    return stages


async def _asked(url: str, body: dict[str, object]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which a question was sent."""
    address = httpx.URL(url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(raw_post(url, "/generate", body))
    await writer.drain()
    return reader, writer
