"""Our engines in `benchmarks.decoding`: all questions at once through `generate`, as the service calls it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from benchmarks.decoding_scene import Scene
from service.decoding.engine import Engine, Load, Sampling, Session
from service.decoding.generation import generate
from service.decoding.request import GenerationRequest

Schedule = Sequence[int | None]


class Watched:
    """An engine for one answer: notes its tokens, control tokens and EOS included, and when they came.

    With a schedule, its session gives the scheduled control tokens as if the model had chosen them.
    """

    def __init__(self, engine: Engine, schedule: Schedule | None = None) -> None:
        self.engine = engine
        self.schedule = schedule
        self.tokens: list[int] = []
        self.first_token_s = 0.0  # from the question
        self.after_lookup_s: list[float] = []  # from the passage to the next token
        self._asked = perf_counter()
        self._appended: float | None = None

    @property
    def context_length(self) -> int:
        """The engine's."""
        return self.engine.context_length

    @property
    def load(self) -> Load:
        """The engine's."""
        return self.engine.load

    async def start(self) -> None:
        """Start the engine."""
        await self.engine.start()

    async def stop(self) -> None:
        """Stop the engine."""
        await self.engine.stop()

    async def open(self, ids: Sequence[int], sampling: Sampling) -> "WatchedSession":
        """Open the one session."""
        return WatchedSession(await self.engine.open(ids, sampling), self)

    def note_token(self, token: int) -> None:
        """The session has given a token."""
        now = perf_counter()
        if not self.tokens:
            self.first_token_s = now - self._asked
        if self._appended is not None:
            self.after_lookup_s.append(now - self._appended)
            self._appended = None
        self.tokens.append(token)

    def note_passage(self) -> None:
        """A passage is being appended."""
        self._appended = perf_counter()


class WatchedSession:
    """Everything but `decode` is the real session's."""

    def __init__(self, session: Session, engine: Watched) -> None:
        self.session = session
        self.engine = engine

    @property
    def forwarded_tokens(self) -> int:
        """The session's."""
        return self.session.forwarded_tokens

    @property
    def given_at(self) -> float:
        """The session's."""
        return self.session.given_at

    async def decode(
        self, *, forbidden: frozenset[int], stop_ids: frozenset[int], max_tokens: int
    ) -> AsyncGenerator[int, None]:
        """The session's tokens, or those of the schedule."""
        if self.engine.schedule is None:
            tokens = self.session.decode(forbidden=forbidden, stop_ids=stop_ids, max_tokens=max_tokens)
        else:
            tokens = self._scheduled(self.engine.schedule[len(self.engine.tokens) :], forbidden | stop_ids)
        async for token in tokens:
            self.engine.note_token(token)
            yield token

    async def _scheduled(self, schedule: Schedule, forbidden: frozenset[int]) -> AsyncGenerator[int, None]:
        """Free tokens up to the next forced one, then that one."""
        free, forced = next((index, token) for index, token in enumerate(schedule) if token is not None)
        if free:
            async for token in self.session.decode(forbidden=forbidden, stop_ids=frozenset(), max_tokens=free):
                yield token
        await self.session.append([forced])
        yield forced

    async def query_state(self) -> NDArray[np.float32]:
        """The session's."""
        return await self.session.query_state()

    async def append(self, ids: Sequence[int]) -> None:
        """Append to the session."""
        self.engine.note_passage()
        await self.session.append(ids)

    async def truncate(self, length: int) -> None:
        """Truncate the session."""
        await self.session.truncate(length)

    async def close(self) -> None:
        """Close the session."""
        await self.session.close()


async def answer_together(
    engine: Engine, scene: Scene, questions: Sequence[str], lookups: int, schedule: Schedule | None = None
) -> list[Watched]:
    """All questions at once on this engine."""

    async def one(question: str) -> Watched:
        watched = Watched(engine, schedule)
        request = GenerationRequest(question, max_retrievals=lookups, max_new_tokens=1024)
        async for _ in generate(watched, scene.store, scene.gen.codec, request):
            pass
        return watched

    return await asyncio.gather(*[one(question) for question in questions])


async def prefill_alone(engine: Engine, ids: Sequence[int]) -> float:
    """Seconds to the first token after these ids, which are a whole context."""
    started = perf_counter()
    session = await engine.open(ids, Sampling())
    try:
        async for _ in session.decode(forbidden=frozenset(), stop_ids=frozenset(), max_tokens=1):
            pass
        return perf_counter() - started
    finally:
        await session.close()
