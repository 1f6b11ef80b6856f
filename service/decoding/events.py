"""The events of one answer, in the order in which they happen."""

from dataclasses import dataclass

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
