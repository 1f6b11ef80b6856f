"""What a service holds while it runs: engine, codec and store, opened together and closed together."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import reduce
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from semiparametric.codec import Codec
from semiparametric.errors import InputError
from semiparametric.formats import Scalar
from semiparametric.pair import read_gen
from semiparametric.query_text import QueryEncoder, load_query_encoder
from semiparametric.spec import PairSpec
from semiparametric.store import Store
from service.decoding.answer import ScoredPassage
from service.decoding.engine import Engine
from service.decoding.events import Event
from service.decoding.generation import generate, retrieve
from service.decoding.request import GenerationRequest
from service.engines.choice import make_engine
from service.settings import ModelSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resources:
    """A loaded pair and the one index that is served with it.

    query_encoder: of a pair whose query is text; None where Gen's state looks up.
    """

    engine: Engine
    codec: Codec
    store: Store
    query_encoder: QueryEncoder | None = None

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Event, None]:
        """Answer a question with this pair and index; see `service.decoding.generation.generate`."""
        return generate(self.engine, self.store, self.codec, request, self.query_encoder)

    async def retrieve(self, query: str, top_k: int, rows: NDArray[np.int64] | None) -> list[ScoredPassage]:
        """Look a query up; see `service.decoding.generation.retrieve`."""
        return await retrieve(self.engine, self.store, self.codec, query, top_k, rows, self.query_encoder)

    def candidate_rows(
        self,
        candidates: Sequence[str] | None,
        filter: Mapping[str, Scalar],  # noqa: A002 - the word of the HTTP contract
    ) -> NDArray[np.int64] | None:
        """The rows that a lookup may choose from; None for all. It reads the store, so call it in a thread.

        Raises:
            InputError: The index has no such passage, or no such metadata field.
        """
        parts = []
        if candidates is not None:
            with _placed("candidates"):
                parts.append(self.store.rows_of(candidates))
        if filter:
            with _placed("filter"):
                parts.append(self.store.rows_matching(filter))
        return reduce(np.intersect1d, parts) if parts else None


@contextmanager
def _placed(field: str) -> Iterator[None]:
    """Errors about the value of a request's field say which field it is."""
    try:
        yield
    except InputError as error:
        raise InputError(error.message, where=field, remedy=error.remedy) from error


@asynccontextmanager
async def open_resources(settings: ModelSettings, *, max_sessions: int, queue: int) -> AsyncIterator[Resources]:
    """Load pair and store, refuse a store that is not the pair's, warm up, and close all again at the end.

    Raises:
        PairError: The pair cannot be loaded.
        StoreError: The store is missing, damaged or another pair's.
    """
    start = perf_counter()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    gen = await asyncio.to_thread(read_gen, settings.pair)
    engine = await asyncio.to_thread(make_engine, settings, gen, max_sessions=max_sessions, queue=queue)
    query_encoder = await asyncio.to_thread(_load_query_encoder, settings, gen.spec)
    store = await asyncio.to_thread(Store.open, settings.index, fingerprint=gen.spec.fingerprint)
    try:
        await engine.start()
        try:
            resources = Resources(engine, gen.codec, store, query_encoder)
            await _warm_up(resources)
            logger.info(
                "loaded %s and %s (%s, version %d, %d passages) in %.1f s",
                *(settings.pair, settings.index, store.name, store.version, len(store), perf_counter() - start),
            )
            yield resources
        finally:
            await engine.stop()
    finally:
        store.close()


def _load_query_encoder(settings: ModelSettings, spec: PairSpec) -> QueryEncoder | None:
    if spec.query == "state":
        return None
    return load_query_encoder(settings.pair, device=settings.device, dtype=getattr(torch, settings.dtype))


async def _warm_up(resources: Resources) -> None:
    """One whole answer: no client waits for what is made at first use, and a pair that cannot answer is never ready."""
    request = GenerationRequest("Are you there?", retrieval="first", max_new_tokens=2)
    async with aclosing(resources.generate(request)) as events:
        async for _ in events:
            pass
