"""The decoding loop as a pure state machine: it knows the grammar of an answer and its limits, and nothing of engines.

The caller asks `next_action()` what to do, does it, and reports back with `take` (a decoded token), `insert` (the
passage that a lookup found) or `withdraw` (it found none):

| state | allowed next | on |
|---|---|---|
| TEXT  | token, `[Ret]`, EOS | `[Ret]`: query state -> lookup -> passage, `[Cs]` -> CITED |
| CITED | token, `[Ce]`, EOS  | `[Ce]`: close the citation -> TEXT; EOS: close it and end |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from semiparametric.control import ControlTokens

Retrieval = Literal["auto", "first", "never"]
FinishReason = Literal["stop", "length", "no_evidence"]


class State(Enum):
    """Where the answer stands."""

    TEXT = auto()
    CITED = auto()
    ASKED = auto()  # [Ret] is written, its lookup is not answered yet
    ENDED = auto()


@dataclass(frozen=True)
class Limits:
    """What an answer may use.

    retrieval: `auto` (Gen decides), `first` (a forced `[Ret]` before the first token), `never`.
    max_retrievals: lookups an answer may make, withdrawn ones included.
    max_new_tokens: tokens Gen may choose, control tokens and EOS included.
    context_length: tokens that prompt, passages and answer may fill together.
    """

    retrieval: Retrieval
    max_retrievals: int
    max_new_tokens: int
    context_length: int


@dataclass(frozen=True)
class Decode:
    """Decode until a stop id, at most `max_tokens`, choosing no `forbidden` id. Report each token with `take`."""

    forbidden: frozenset[int]
    stop_ids: frozenset[int]
    max_tokens: int


@dataclass(frozen=True)
class LookUp:
    """Read the query state at the last position and look up a passage. Report with `insert` or `withdraw`."""


@dataclass(frozen=True)
class Extend:
    """Cut the session's context to its first `keep` ids, then append `ids`. Nothing to report."""

    keep: int
    ids: tuple[int, ...]


@dataclass(frozen=True)
class Finish:
    """The answer has ended."""

    reason: FinishReason


Action = Decode | LookUp | Extend | Finish


@dataclass
class _Inserted:
    """A passage in the context: `[Ret]` stands at `start`, `length` ids (`[Ret]` and the passage) can be dropped."""

    start: int
    length: int


class DecodingLoop:
    """One answer. `context` is what the session must hold after every `Extend` was carried out."""

    def __init__(
        self, prompt: Sequence[int], *, control: ControlTokens, eos_ids: frozenset[int], limits: Limits
    ) -> None:
        self.context = list(prompt)
        self.state = State.TEXT
        self.num_generated = 0
        self.num_retrievals = 0
        self.num_inserted = 0  # tokens the loop wrote: passages, [Cs], a forced [Ret]
        self._control = control
        self._eos_ids = eos_ids
        self._limits = limits
        self._closed: list[_Inserted] = []
        self._open: _Inserted | None = None
        self._queued: Extend | None = None
        self._withdrawn = False
        self._reason: FinishReason = "stop"
        if limits.retrieval == "first" and self._may_retrieve():
            self.context.append(control.ret)
            self.num_inserted += 1
            self.state = State.ASKED

    def next_action(self) -> Action:
        """What to do now; to be asked again once that was done and reported."""
        if self._queued is not None:
            action, self._queued = self._queued, None
            return action
        if self.state is State.ASKED:
            return LookUp()
        budget = self._limits.max_new_tokens - self.num_generated
        room = self._limits.context_length - len(self.context)
        if self.state is not State.ENDED and budget > 0 and room < 1:
            dropped_at = self._drop_oldest()
            if dropped_at is not None:
                return Extend(dropped_at, tuple(self.context[dropped_at:]))
        if self.state is not State.ENDED and min(budget, room) < 1:
            self._end("length")
        if self.state is State.ENDED:
            return Finish(self._reason)
        return Decode(self._forbidden(), self._stop_ids(), min(budget, room))

    def take(self, token: int) -> bool:
        """Accept a decoded token, which now ends the session's context. True if it is text of the answer."""
        self.context.append(token)
        self.num_generated += 1
        if token in self._eos_ids:
            self._close_citation()
            self._end("stop")
        elif token == self._control.ret:
            self.state = State.ASKED
        elif token == self._control.ce:
            self._close_citation()
            self.state = State.TEXT
        else:
            return True
        return False

    def insert(self, passage: Sequence[int]) -> bool:
        """Answer a `LookUp` with the passage's ids. False if they do not fit the context: the answer then ends."""
        self.num_retrievals += 1
        changed_at = len(self.context)
        needed = len(passage) + 2  # [Cs] and one token to say something
        while len(self.context) + needed > self._limits.context_length:
            dropped_at = self._drop_oldest()
            if dropped_at is None:
                self._end("length")
                return False
            changed_at = min(changed_at, dropped_at)
        self._open = _Inserted(len(self.context) - 1, len(passage) + 1)
        self.context += [*passage, self._control.cs]
        self.num_inserted += len(passage) + 1
        self._queued = Extend(changed_at, tuple(self.context[changed_at:]))
        self.state = State.CITED
        return True

    def withdraw(self) -> None:
        """Answer a `LookUp` that found nothing: `[Ret]` leaves the context and is forbidden from here on."""
        self.num_retrievals += 1
        self._withdrawn = True
        self.context.pop()
        self._queued = Extend(len(self.context), ())
        self.state = State.TEXT

    def _may_retrieve(self) -> bool:
        limits = self._limits
        return limits.retrieval != "never" and not self._withdrawn and self.num_retrievals < limits.max_retrievals

    def _forbidden(self) -> frozenset[int]:
        control = self._control
        if self.state is State.CITED:
            return frozenset({control.ret, control.cs})
        return frozenset({control.cs, control.ce} if self._may_retrieve() else {control.cs, control.ce, control.ret})

    def _stop_ids(self) -> frozenset[int]:
        return self._eos_ids | {self._control.ce if self.state is State.CITED else self._control.ret}

    def _close_citation(self) -> None:
        if self._open is not None:
            self._closed.append(self._open)
            self._open = None

    def _drop_oldest(self) -> int | None:
        """Drop `[Ret]` and passage of the oldest closed citation; where they stood, or None if there is none."""
        if not self._closed:
            return None
        oldest = self._closed.pop(0)
        del self.context[oldest.start : oldest.start + oldest.length]
        for later in [*self._closed, *([self._open] if self._open else [])]:
            later.start -= oldest.length
        return oldest.start

    def _end(self, reason: FinishReason) -> None:
        # An answer that looked for evidence and used none must not pass for a complete one, however it ended.
        no_evidence = self._withdrawn and self.num_retrievals == 1
        self._reason = "no_evidence" if no_evidence else reason
        self.state = State.ENDED
