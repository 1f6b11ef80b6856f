"""What happened while an answer was made, and when. The run writes it down; counting and tracing read it at the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, Protocol

from service.decoding.answer import ScoredPassage, Usage
from service.decoding.loop import FinishReason

Ending = FinishReason | Literal["aborted", "failed"]
Outcome = Literal["found", "withdrawn", "no_room"]


@dataclass
class SegmentTimes:
    """One stretch of decoding: up to a control token, EOS or a limit.

    started: as all times here, seconds of `time.perf_counter`.
    passage_id: what the segment is cited for; None in a plain one.
    tokens: when each token that Gen chose came, control tokens included.
    """

    started: float
    passage_id: str | None = None
    tokens: list[float] = field(default_factory=list)

    @property
    def ended(self) -> float:
        """When its last token came."""
        return self.tokens[-1] if self.tokens else self.started


@dataclass
class LookupTimes:
    """One lookup.

    queue_s: waiting for a place in the engine; an answer that looks up has one.
    state_s: waiting for the query state; 0 where the query is text.
    search_s: searching the store, and before that encoding the query where it is text.
    outcome: `found`; `withdrawn`: nothing was good enough or there; `no_room`: the passage did not fit the context.
        None until it is known.
    passage_id, score: of the best passage, also where it was not good enough; None where there was none.
    """

    started: float = 0.0
    queue_s: float = 0.0
    state_s: float = 0.0
    search_s: float = 0.0
    outcome: Outcome | None = None
    num_found: int = 0
    passage_id: str | None = None
    score: float | None = None

    @property
    def ended(self) -> float:
        """When it was known what it found."""
        return self.started + self.queue_s + self.state_s + self.search_s

    def searched(self, seconds: float, found: Sequence[ScoredPassage]) -> None:
        """The search took so long and gave these, best first."""
        self.search_s, self.num_found, self.outcome = seconds, len(found), "found" if found else "withdrawn"
        if found:
            self.passage_id, self.score = found[0].passage.id, found[0].score


@dataclass
class Timeline:
    """The course of one answer.

    started: when it was asked for.
    admitted: when the engine had a place for it.
    first_text: when the first text of the answer was there; None before that.
    steps: segments and lookups in the order in which they happened.
    ending: the answer's finish reason; `aborted`, which stands until it ends, when nobody waits for it any more;
        `failed` where an error ended it.
    usage: tokens and lookups up to the end, whatever the end was; None before it.
    """

    started: float = 0.0
    admitted: float = 0.0
    ended: float = 0.0
    first_text: float | None = None
    steps: list[SegmentTimes | LookupTimes] = field(default_factory=list)
    ending: Ending = "aborted"
    usage: Usage | None = None

    def lookups(self) -> Iterator[LookupTimes]:
        """The lookups in order."""
        return (step for step in self.steps if isinstance(step, LookupTimes))

    def token_gaps(self) -> Iterator[float]:
        """Seconds between two tokens of one segment, for all of them."""
        for step in self.steps:
            if isinstance(step, SegmentTimes):
                for earlier, later in pairwise(step.tokens):
                    yield later - earlier

    def pauses(self) -> Iterator[float]:
        """Seconds from each `[Ret]` to the next token: query state, search, and the passage that Gen reads."""
        for step, following in pairwise(self.steps):
            if isinstance(step, LookupTimes) and isinstance(following, SegmentTimes) and following.tokens:
                yield following.tokens[0] - step.started


class Observer(Protocol):
    """Somebody who counts or traces. Called in the context of the request when all is over; must not raise.

    Of an answer it is told in the turn of the loop after its end, so that nobody waits for it.
    """

    def answered(self, index: str, timeline: Timeline) -> None:
        """An answer that had a place in the engine has ended, in whatever way."""
        ...

    def retrieved(self, index: str, lookup: LookupTimes) -> None:
        """A lookup without an answer is done."""
        ...
