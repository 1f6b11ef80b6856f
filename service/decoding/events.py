"""The events of one answer, in the order in which they happen."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from semiparametric.errors import CosupError
from service.decoding.answer import Answer, Citation, ScoredPassage


@dataclass(frozen=True)
class TokenEvent:
    """New text of the answer; the texts join to exactly the answer."""

    text: str


@dataclass(frozen=True)
class RetrievalEvent:
    """What a lookup found, best first; the first one is in the context now."""

    passages: list[ScoredPassage]


@dataclass(frozen=True)
class CitationEvent:
    """A cited span has ended; its offsets are final."""

    citation: Citation


@dataclass(frozen=True)
class DoneEvent:
    """Always the last event."""

    answer: Answer


Event = TokenEvent | RetrievalEvent | CitationEvent | DoneEvent


async def whole_answer(events: AsyncGenerator[Event, None]) -> Answer:
    """Read the events to their end and close them; the answer.

    Raises:
        CosupError: They ended without it.
    """
    async with aclosing(events):
        async for event in events:
            if isinstance(event, DoneEvent):
                return event.answer
    raise CosupError("the answer ended without its last event")
