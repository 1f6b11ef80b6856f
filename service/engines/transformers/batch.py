"""The batch: the rows of all sessions, and the passes of the model that bring each row closer to its goal.

Knows torch and the model, nothing of asyncio. All of it runs on the engine's one worker thread.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiparametric.embedding import as_query
from semiparametric.pair import Gen
from service.decoding.engine import Sampling
from service.engines.sampling import choice_at, choose
from service.engines.transformers.forward import Forward

SIMILAR_LENGTH = 0.75  # the shortest of rows computed together has at least this share of the longest; padding costs


@dataclass(frozen=True)
class DecodeGoal:
    """New tokens until a stop id, at most `max_tokens`."""

    forbidden: frozenset[int]
    stop_ids: frozenset[int]
    max_tokens: int


@dataclass(frozen=True)
class StateGoal:
    """The query state at the last position."""


@dataclass(eq=False)
class Row:
    """One session in the batch: its ids, how many of them the cache holds, and what it waits for."""

    ids: list[int]
    sampling: Sampling  # with a seed
    computed: int = 0
    forwarded: int = 0
    decoded: int = 0  # tokens of the present DecodeGoal
    goal: DecodeGoal | StateGoal | None = None

    @property
    def pending(self) -> int:
        """Ids that the cache does not hold yet."""
        return len(self.ids) - self.computed


@dataclass
class Output:
    """What one step brought one row, and when (of `time.perf_counter`). `ended`: its goal is reached."""

    tokens: list[int] = field(default_factory=list)
    state: NDArray[np.float32] | None = None
    ended: bool = False
    at: float = 0.0


@dataclass
class Outcome:
    """What one step brought. `busy`: there is more to do without new orders."""

    outputs: dict[Row, Output] = field(default_factory=dict)
    busy: bool = False


class Batch:
    """Rows in slots; row `i` of `_rows` is in slot `i` of the cache."""

    def __init__(self, gen: Gen, context_length: int, prefill_tokens: int) -> None:
        self._spec = gen.spec
        self._projection = gen.projection
        self._forward = Forward(gen.model, context_length)
        self._prefill_tokens = prefill_tokens
        self._rows: list[Row] = []

    def reset(self) -> None:
        """Forget all rows, after a failure that left their state unknown."""
        self._rows = []
        self._forward.reset()

    def open(self, row: Row) -> None:
        """Give a row a slot."""
        self._rows.append(row)
        self._forward.cache.reserve(len(self._rows), 1)

    def close(self, row: Row) -> None:
        """Free the row's slot; the last row moves into it."""
        if row not in self._rows:  # forgotten by `reset`
            return
        slot = self._rows.index(row)
        last = self._rows.pop()
        if last is not row:
            self._rows[slot] = last
            self._forward.cache.move(len(self._rows), slot)

    def append(self, row: Row, ids: Sequence[int]) -> None:
        """Ids at the end of the row, computed when a goal needs them."""
        row.ids.extend(ids)

    def truncate(self, row: Row, length: int) -> None:
        """Keep the first `length` ids of the row."""
        del row.ids[length:]
        row.computed = min(row.computed, length)

    def aim(self, row: Row, goal: DecodeGoal | StateGoal) -> None:
        """Say what the row waits for."""
        row.goal = goal
        row.decoded = 0
        row.computed = min(row.computed, len(row.ids) - 1)  # the last position is needed, so it is computed again

    @torch.inference_mode()
    def step(self, orders: Sequence[Callable[[], None]]) -> Outcome:
        """Carry out orders, compute pending ids up to the limit of a step, then one id of each row that decodes."""
        for order in orders:
            order()
        outcome = Outcome()
        budget = self._prefill_tokens
        while budget > 0 and (rows := self._next_prefill(budget)):
            budget -= self._prefill(rows, budget, outcome)
        self._decode(outcome)
        outcome.busy = any(row.goal is not None for row in self._rows)
        now = perf_counter()
        for output in outcome.outputs.values():
            output.at = now
        return outcome

    def _next_prefill(self, budget: int) -> list[Row]:
        """Rows of similar length to compute together, the shortest first: they are what a client waits least for."""
        waiting = sorted((row for row in self._rows if row.goal and row.pending > 1), key=lambda row: row.pending)
        if not waiting or (waiting[0].pending > budget and budget < self._prefill_tokens):
            return []  # what is left of the budget would only cut a piece off the next row
        similar = [row for row in waiting if SIMILAR_LENGTH * row.pending <= waiting[0].pending]
        while len(similar) > 1 and len(similar) * similar[-1].pending > budget:
            similar.pop()
        return similar

    def _prefill(self, rows: list[Row], budget: int, outcome: Outcome) -> int:
        """Compute pending ids of rows, at most `budget` positions with padding; the positions computed."""
        chunks = [row.ids[row.computed : row.computed + budget] for row in rows]
        starts = [row.computed for row in rows]
        self._forward.cache.reserve(
            len(self._rows), max(row.computed + len(chunk) for row, chunk in zip(rows, chunks, strict=True))
        )
        states, logits = self._forward.prefill([self._rows.index(row) for row in rows], starts, chunks)
        for row, chunk in zip(rows, chunks, strict=True):
            self._count(row, len(chunk))
        self._settle(rows, states, logits, outcome)
        return max(map(len, chunks)) * len(rows)

    def _decode(self, outcome: Outcome) -> None:
        """Compute the one pending id of every row that has a goal."""
        ready = {row for row in self._rows if row.goal and row.pending == 1}
        if not ready:
            return
        self._bring_forward(ready)
        first = self._rows[: 1 + max(self._rows.index(row) for row in ready)]
        # Idle rows between the others compute a padding id; its key lands where their next real key will.
        tokens = [row.ids[-1] if row in ready else 0 for row in first]
        positions = [row.computed for row in first]
        self._forward.cache.reserve(len(self._rows), max(positions) + 1)
        states, logits = self._forward.decode(tokens, positions, 1 + max(row.computed for row in ready))
        slots = [slot for slot, row in enumerate(first) if row in ready]
        for row in ready:
            self._count(row, 1)
        self._settle([first[slot] for slot in slots], states[slots], logits[slots], outcome)

    def _bring_forward(self, ready: set[Row]) -> None:
        """Put the rows that decode into the first slots when idle rows would more than double the work."""
        rows = self._rows
        if 1 + max(rows.index(row) for row in ready) <= 2 * len(ready):
            return
        behind = [slot for slot in range(len(ready), len(rows)) if rows[slot] in ready]
        for slot in range(len(ready)):
            if rows[slot] not in ready:
                other = behind.pop()
                self._forward.cache.swap(slot, other)
                rows[slot], rows[other] = rows[other], rows[slot]

    def _count(self, row: Row, computed: int) -> None:
        row.computed += computed
        row.forwarded += computed

    def _settle(self, rows: list[Row], states: Tensor, logits: Tensor, outcome: Outcome) -> None:
        """Give rows whose ids are all computed what they wait for: from `states[n, d]`, `logits[n, vocabulary]`."""
        decoding = []
        for index, row in enumerate(rows):
            if row.pending > 0:
                continue
            if isinstance(row.goal, StateGoal):
                row.goal = None
                query = as_query(states[index], self._spec, self._projection)
                outcome.outputs[row] = Output(state=query, ended=True)
            else:
                decoding.append(index)
        if decoding:
            self._settle_tokens([rows[index] for index in decoding], logits[decoding], outcome)

    def _settle_tokens(self, rows: list[Row], logits: Tensor, outcome: Outcome) -> None:
        goals = [row.goal for row in rows if isinstance(row.goal, DecodeGoal)]
        choices = [choice_at(row.sampling, len(row.ids)) for row in rows]
        tokens = choose(logits, choices, [goal.forbidden for goal in goals])
        for row, goal, token in zip(rows, goals, tokens, strict=True):
            row.ids.append(token)
            row.decoded += 1
            output = outcome.outputs.setdefault(row, Output())
            output.tokens.append(token)
            output.ended = token in goal.stop_ids or row.decoded == goal.max_tokens
            if output.ended:
                row.goal = None
