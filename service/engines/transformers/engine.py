"""The asyncio side of the engine: sessions, admission, and the driver that lets one worker thread step the batch."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import CosupError, InputError
from semiparametric.pair import Gen
from service.decoding.engine import Load, Sampling
from service.engines.admission import Places
from service.engines.context import session_length
from service.engines.sampling import seeded
from service.engines.transformers.batch import Batch, DecodeGoal, Outcome, Output, Row, StateGoal
from service.engines.transformers.forward import check_supported

logger = logging.getLogger(__name__)


class TransformersEngine:
    """Decodes all sessions in one batch that they join and leave at any step.

    Args:
        gen: The model; it may be used elsewhere only while the engine is stopped.
        max_sessions: Sessions in the batch at once.
        max_waiting: Calls of `open` that may wait for a place; more are refused with BusyError.
        context_length: Ids of a session; None takes the model's own limit, which it may not exceed.
        prefill_tokens: Ids of prompts and passages computed between two decode steps; bounds how long others wait.

    Raises:
        PairError: The model's architecture cannot be decoded here.
        InputError: `context_length` is more than the model's.
    """

    def __init__(
        self,
        gen: Gen,
        *,
        max_sessions: int = 16,
        max_waiting: int = 64,
        context_length: int | None = None,
        prefill_tokens: int = 2048,
    ) -> None:
        check_supported(gen.model)
        self.context_length = session_length(gen.model.config, context_length)
        self._batch = Batch(gen, self.context_length, prefill_tokens)
        self._places = Places(max_sessions, max_waiting)
        self._orders: list[Callable[[], None]] = []
        self._sessions: dict[Row, _Session] = {}
        self._woken = asyncio.Event()
        self._pool: ThreadPoolExecutor | None = None
        self._driver: asyncio.Task[None] | None = None

    @property
    def load(self) -> Load:
        """Sessions that run and wait."""
        return self._places.load

    async def start(self) -> None:
        """Start the worker thread."""
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="decoding")
        self._driver = asyncio.create_task(self._drive(self._pool))

    async def stop(self) -> None:
        """Let the step under way end and stop; sessions still open fail."""
        if self._driver is None or self._pool is None:
            return
        self._driver.cancel()
        await asyncio.wait([self._driver])
        await asyncio.to_thread(self._pool.shutdown)
        self._driver = self._pool = None
        self._fail_all(CosupError("the engine was stopped"))
        self._batch.reset()

    async def open(self, ids: Sequence[int], sampling: Sampling) -> "_Session":
        """Open a session on at least one id; waits for a free place.

        Raises:
            BusyError: All places are taken and too many wait.
            InputError: The ids do not fit the context.
        """
        if self._driver is None:
            raise CosupError("the engine is not running", remedy="Start it first")
        if not 0 < len(ids) <= self.context_length:
            raise InputError(f"{len(ids)} ids do not fit a context of {self.context_length}")
        await self._places.take()
        if self._driver is None:
            self._places.give_back()
            raise CosupError("the engine was stopped")
        row = Row(list(ids), seeded(sampling))
        session = _Session(self, row)
        self._sessions[row] = session
        self.order(partial(self._batch.open, row))
        return session

    def order(self, order: Callable[[], None]) -> None:
        """Have the worker thread do this before its next step."""
        self._orders.append(order)
        self._woken.set()

    @property
    def batch(self) -> Batch:
        """What orders are given to."""
        return self._batch

    def forget(self, row: Row) -> None:
        """Free a session's place."""
        if self._sessions.pop(row, None) is not None:
            self.order(partial(self._batch.close, row))
            self._places.give_back()

    async def _drive(self, pool: ThreadPoolExecutor) -> None:
        """Step while there is work. What a step brought is delivered while the next one runs."""
        loop = asyncio.get_running_loop()
        outcome = Outcome()
        while True:
            if not (outcome.busy or self._orders):
                self._deliver(outcome)
                outcome = Outcome()
                self._woken.clear()
                await self._woken.wait()
            orders, self._orders = self._orders, []
            step = loop.run_in_executor(pool, self._batch.step, orders)
            self._deliver(outcome)
            await asyncio.wait([step])
            error = step.exception()
            outcome = self._recover(error) if error else step.result()

    def _recover(self, error: BaseException) -> Outcome:
        """After a failed step no row can be trusted: all sessions fail, and the engine goes on with an empty batch."""
        logger.error("a decoding step failed", exc_info=error)
        self._fail_all(CosupError(f"decoding failed ({type(error).__name__}: {error})", remedy="Ask again"))
        self._batch.reset()
        return Outcome()

    def _fail_all(self, error: CosupError) -> None:
        self._orders = []
        for session in self._sessions.values():
            session.fail(error)

    def _deliver(self, outcome: Outcome) -> None:
        """Hand out what a step brought, first to those who ended a stretch: a lookup or a reader waits for that.

        The others have theirs a turn of the loop later, when what those had to send has left.
        """
        ended = {row: output for row, output in outcome.outputs.items() if output.ended}
        others = {row: output for row, output in outcome.outputs.items() if not output.ended}
        self._hand_out(ended)
        if ended:
            asyncio.get_running_loop().call_soon(self._hand_out, others)
        else:
            self._hand_out(others)

    def _hand_out(self, outputs: Mapping[Row, Output]) -> None:
        for row, output in outputs.items():
            session = self._sessions.get(row)
            if session is not None:
                session.inbox.put_nowait(output)


class _Session:
    """A row of the batch as its owner sees it."""

    def __init__(self, engine: TransformersEngine, row: Row) -> None:
        self.inbox: asyncio.Queue[Output | CosupError] = asyncio.Queue()
        self.given_at = 0.0
        self._engine = engine
        self._row = row
        self._length = len(row.ids)
        self._failure: CosupError | None = None

    @property
    def forwarded_tokens(self) -> int:
        """Tokens the model computed for this session so far."""
        return self._row.forwarded

    def decode(
        self, *, forbidden: frozenset[int], stop_ids: frozenset[int], max_tokens: int
    ) -> AsyncGenerator[int, None]:
        """Yield every new token, the stop id included, then end. The engine begins at once, read or not."""
        room = self._engine.context_length - self._length
        if not 0 < max_tokens <= room:
            raise InputError(f"{max_tokens} new tokens are asked for where {room} fit")
        self._order(partial(self._engine.batch.aim, self._row, DecodeGoal(forbidden, stop_ids, max_tokens)))
        return self._decoded()

    async def _decoded(self) -> AsyncGenerator[int, None]:
        ended = False
        while not ended:
            output = await self._next()
            ended = output.ended
            for token in output.tokens:
                self._length += 1
                yield token

    async def query_state(self) -> NDArray[np.float32]:
        """Gen's last hidden state after the final norm at the last position, projected, as a query: float32[d]."""
        self._order(partial(self._engine.batch.aim, self._row, StateGoal()))
        state = (await self._next()).state
        if state is None:
            raise CosupError("a decode of this session was left before its end", remedy="Close the session")
        return state

    async def append(self, ids: Sequence[int]) -> None:
        """Put ids at the end of the context; they are computed with the next `decode` or `query_state`."""
        if self._length + len(ids) > self._engine.context_length:
            raise InputError(f"{len(ids)} ids after {self._length} exceed {self._engine.context_length}")
        self._length += len(ids)
        self._order(partial(self._engine.batch.append, self._row, list(ids)))

    async def truncate(self, length: int) -> None:
        """Keep only the first `length` ids (at least one) of the context."""
        if not 0 < length <= self._length:
            raise InputError(f"a context of {self._length} ids cannot be cut to {length}")
        self._length = length
        self._order(partial(self._engine.batch.truncate, self._row, length))

    async def close(self) -> None:
        """Free the session's place, also in the middle of `decode`."""
        self._engine.forget(self._row)
        self.fail(CosupError("the session is closed"))

    def fail(self, error: CosupError) -> None:
        """Have the call under way and all later ones raise."""
        self._failure = error
        self.inbox.put_nowait(error)

    def _order(self, order: Callable[[], None]) -> None:
        if self._failure is not None:
            raise self._failure
        self._engine.order(order)

    async def _next(self) -> Output:
        item = await self.inbox.get()
        if isinstance(item, CosupError):
            raise item
        self.given_at = item.at
        return item
