"""What a service holds while it runs: engine, codec and indexes, opened together and closed together."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from semiparametric.codec import Codec
from semiparametric.pair import read_gen
from semiparametric.query_text import QueryEncoder, load_query_encoder
from semiparametric.spec import PairSpec
from service.decoding.answer import ScoredPassage
from service.decoding.engine import Engine
from service.decoding.events import Event
from service.decoding.generation import generate, retrieve
from service.decoding.request import GenerationRequest
from service.decoding.timeline import LookupTimes, Observer, Timeline
from service.engines.choice import make_engine
from service.index_version import IndexVersion
from service.indexes import Indexes, open_indexes
from service.settings import ModelSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """A loaded pair and the indexes that are served with it.

    query_encoder: of a pair whose query is text; None where Gen's state looks up.
    observers: who is told of every answer and lookup when it has ended.
    """

    engine: Engine
    codec: Codec
    indexes: Indexes
    query_encoder: QueryEncoder | None = None
    observers: Sequence[Observer] = ()

    async def generate(self, version: IndexVersion, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """Answer a question from a version that stays open; see `service.decoding.generation.generate`."""
        timeline = Timeline()
        answering = generate(self.engine, version.searched, self.codec, request, self.query_encoder, timeline)
        try:
            async with aclosing(answering) as events:
                async for event in events:
                    yield event
        finally:
            if timeline.usage is not None:  # it had a place in the engine
                for observer in self.observers:  # in the loop's next turn: the answer's end is sent in this one
                    asyncio.get_running_loop().call_soon(observer.answered, version.name, timeline)

    async def retrieve(
        self,
        version: IndexVersion,
        query: str,
        top_k: int,
        rows: NDArray[np.int64] | None,
        instruction: str | None = None,
    ) -> list[ScoredPassage]:
        """Look a query up in a version that stays open; see `service.decoding.generation.retrieve`."""
        times = LookupTimes()
        found = await retrieve(
            self.engine, version.searched, self.codec, query, top_k, rows, self.query_encoder, times, instruction
        )
        for observer in self.observers:
            observer.retrieved(version.name, times)
        return found


@asynccontextmanager
async def open_resources(settings: ModelSettings, *, max_sessions: int, queue: int) -> AsyncIterator[Resources]:
    """Load pair and indexes, refuse an index that is not the pair's, warm up, and close all again at the end.

    Raises:
        InputError: Two indexes have one name, or the one that an index has would not do.
        PairError: The pair cannot be loaded.
        StoreError: An index is missing, damaged or another pair's.
    """
    start = perf_counter()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    gen = await asyncio.to_thread(read_gen, settings.pair)
    engine = await asyncio.to_thread(make_engine, settings, gen, max_sessions=max_sessions, queue=queue)
    query_encoder = await asyncio.to_thread(_load_query_encoder, settings, gen.spec)
    indexes = await open_indexes(settings.index, gen.spec)
    try:
        await engine.start()
        try:
            resources = Resources(engine, gen.codec, indexes, query_encoder)
            await _warm_up(resources)
            logger.info("loaded %s and %s in %.1f s", settings.pair, _described(indexes), perf_counter() - start)
            yield resources
        finally:
            await engine.stop()
    finally:
        await indexes.close()


def _described(indexes: Indexes) -> str:
    versions = (index.current for index in indexes.values())
    return ", ".join(
        f"{version.name} (version {version.store.version}, {len(version.store)} passages)" for version in versions
    )


def _load_query_encoder(settings: ModelSettings, spec: PairSpec) -> QueryEncoder | None:
    if spec.query == "state":
        return None
    return load_query_encoder(settings.pair, device=settings.device, dtype=getattr(torch, settings.dtype))


async def _warm_up(resources: Resources) -> None:
    """One whole answer from each index: no client waits for what is made at first use, and none that fails is ready."""
    request = GenerationRequest("Are you there?", retrieval="first", max_new_tokens=2)
    for index in resources.indexes.values():
        async with aclosing(resources.generate(index.current, request)) as events:
            async for _ in events:
                pass
