"""Streaming clients on a service whose index is rebuilt all the while: what failed, what was mixed, what grew."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter

from benchmarks.service_index import RebuiltIndex, version_named
from benchmarks.service_process import Footprint, files_in_use, footprint, until
from cosup.child_service import ChildService
from semiparametric.store import collect_garbage
from semiparametric.store.layout import version_folder
from service.client import AsyncClient, CitationResult, GenerateResponse, RetrievalData, ServiceError, TokenData

_SAMPLE_S = 0.5
_KEPT = 2  # versions; older ones are removed while they may still be in use


@dataclass(frozen=True)
class Streamed:
    """What one stream told.

    version: what the answer says that it was made from.
    named: versions that its passages and citations belong to.
    """

    version: int
    named: frozenset[int]
    retrievals: int
    first_s: float
    latency_s: float

    @property
    def is_mixed(self) -> bool:
        """Whether it holds anything of another version."""
        return self.named != {self.version}


@dataclass
class Load:
    """What came of a load.

    published: the newest version.
    failures: one message for each request that was not answered.
    memory: the process's footprint every half second.
    left_open: files of older versions that were in use when all was over.
    """

    clients: int
    seconds: float = 0.0
    published: int = 0
    answers: list[Streamed] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    memory: list[Footprint] = field(default_factory=list)
    left_open: set[str] = field(default_factory=set)

    @property
    def mixed(self) -> list[Streamed]:
        """Answers of more than one version."""
        return [answer for answer in self.answers if answer.is_mixed]

    @property
    def versions(self) -> set[int]:
        """Versions that answers were made from."""
        return {answer.version for answer in self.answers}

    def quarter(self, number: int) -> Footprint:
        """Medians of a quarter of the time, the first one being 0; that one is the warm-up."""
        size = len(self.memory) // 4
        part = self.memory[number * size : (number + 1) * size] or self.memory
        return Footprint(
            median(one.rss_mb for one in part),
            round(median(one.open_files for one in part)),
            round(median(one.threads for one in part)),
        )

    @property
    def growth_mb(self) -> float:
        """Resident memory of the last quarter over that of the second."""
        return self.quarter(3).rss_mb - self.quarter(1).rss_mb


async def ask(client: AsyncClient, question: str, *, max_new_tokens: int = 48) -> Streamed:
    """One streamed answer, read to its end.

    Raises:
        ServiceError: There was none.
    """
    begun, first_s, named = perf_counter(), 0.0, set[int]()
    options = client.stream(question, retrieval="first", max_new_tokens=max_new_tokens, top_k=3)
    async with aclosing(options) as events:
        async for event in events:
            match event:
                case TokenData():
                    first_s = first_s or perf_counter() - begun
                case RetrievalData(passages=passages):
                    named |= {version_named(passage.id) for passage in passages}
                case CitationResult(passage_id=passage_id):
                    named.add(version_named(passage_id))
                case GenerateResponse():
                    named |= {version_named(passage.id) for passage in event.passages}
                    last = event
    return Streamed(last.index.version, frozenset(named), last.usage.retrievals, first_s, perf_counter() - begun)


async def keep_asking(
    client: AsyncClient, number: int, load: Load, is_over: Callable[[], bool], *, pause_s: float = 0.0
) -> None:
    """Ask again and again, and write down what comes."""
    for turn in itertools.count():
        if is_over():
            return
        try:
            load.answers.append(await ask(client, f"What of the tide, {number}, {turn}?"))
        except ServiceError as error:
            load.failures.append(str(error))
        await asyncio.sleep(pause_s)


async def run_load(service: ChildService, index: RebuiltIndex, *, clients: int, seconds: float, every_s: float) -> Load:
    """Let clients ask for so many seconds while a version is published every `every_s`."""
    load, begun = Load(clients), perf_counter()

    def is_over() -> bool:
        return perf_counter() - begun > seconds

    async with AsyncExitStack() as stack:
        asking = [await stack.enter_async_context(AsyncClient(service.url)) for _ in range(clients)]
        async with asyncio.TaskGroup() as group:
            for number, client in enumerate(asking):
                group.create_task(keep_asking(client, number, load, is_over))
            group.create_task(_every(_SAMPLE_S, is_over, lambda: _sample(service, load)))
            group.create_task(_every(every_s, is_over, lambda: asyncio.to_thread(_publish, index)))
        load.seconds, load.published = perf_counter() - begun, index.version
        load.left_open = await left_open(service, index)
    return load


async def left_open(service: ChildService, index: RebuiltIndex) -> set[str]:
    """The files of all but the newest version that a service has open or mapped, once it has had time to let go."""

    def of_others() -> set[str]:
        current = f"{version_folder(index.folder, index.version)}/"
        return {path for path in files_in_use(service.pid, index.folder) if not path.startswith(current)}

    async def is_so() -> bool:
        return not of_others()

    await until(is_so)
    return of_others()


def _publish(index: RebuiltIndex) -> None:
    index.publish()
    collect_garbage(index.folder, keep=_KEPT)


async def _sample(service: ChildService, load: Load) -> None:
    load.memory.append(footprint(service.pid))


async def _every(interval_s: float, is_over: Callable[[], bool], do: Callable[[], Awaitable[object]]) -> None:
    """Do something, with so many seconds from the begin of one time to that of the next, if it takes no longer."""
    while not is_over():
        due = perf_counter() + interval_s
        await do()
        await asyncio.sleep(max(0.0, due - perf_counter()))
