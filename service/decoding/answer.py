"""The answer that grows while Gen decodes: its text and the spans that are cited."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semiparametric.formats import Passage
from service.decoding.loop import FinishReason


@dataclass(frozen=True)
class ScoredPassage:
    """A passage that a lookup found.

    row: where it stands in the store.
    score: inner product of query state and sequence embedding.
    probability: softmax of score / temperature over the nearest candidates of that lookup, at most `lookup.CANDIDATES`.
    """

    row: int
    passage: Passage
    score: float
    probability: float


@dataclass(frozen=True)
class Citation:
    """`answer[start:end]`, in code points and without surrounding white space, is what the passage is cited for."""

    start: int
    end: int
    passage_id: str
    score: float
    probability: float


@dataclass(frozen=True)
class Lookup:
    """A lookup that an answer made.

    at: code points of the answer that were written before it.
    query: what was compared with the store's vectors, `float32[d]`; two lookups are not compared by it.
    found: what it reported, best first.
    used: whether the best one was put before Gen; false where it scored too low or had no room.
    """

    at: int
    query: NDArray[np.float32] = field(compare=False)
    found: list[ScoredPassage]
    used: bool


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer.

    passage_tokens: what lookups added: passages, `[Cs]`, a forced `[Ret]`.
    completion_tokens: what Gen chose, control tokens and EOS included.
    forwarded_tokens: what the model computed. The last token chosen never is. What stands after a passage dropped from
        a full context is computed anew, and so is the token before a withdrawn `[Ret]`.
    """

    prompt_tokens: int
    passage_tokens: int
    completion_tokens: int
    retrievals: int
    forwarded_tokens: int


@dataclass
class Timings:
    """Where the time of one answer went, in seconds.

    queue: until the engine had a place.
    prefill: from there to the first token or query state.
    decode: all later work of the engine, however slowly its tokens are read.
    lookup: searching the store, and before that encoding the query where it is text.
    total: everything, the reader of the stream included.
    """

    queue: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    lookup: float = 0.0
    total: float = 0.0


@dataclass(frozen=True)
class Answer:
    """A finished answer; `passages` are those it used, in order of first use; `lookups` stand in the order made."""

    text: str
    citations: list[Citation]
    passages: list[ScoredPassage]
    lookups: list[Lookup]
    finish_reason: FinishReason
    usage: Usage
    timings: Timings


_SENTENCE_ENDS = frozenset(".!?")


@dataclass
class Draft:
    """Collects pieces of text; a cited span runs from `open` to `close`."""

    citations: list[Citation] = field(default_factory=list)
    passages: list[ScoredPassage] = field(default_factory=list)
    lookups: list[Lookup] = field(default_factory=list)
    _pieces: list[str] = field(default_factory=list)
    _length: int = 0
    _cited: ScoredPassage | None = None
    _cited_pieces: int = 0
    _cited_start: int = 0

    @property
    def text(self) -> str:
        """All pieces so far."""
        return "".join(self._pieces)

    @property
    def cited_id(self) -> str | None:
        """The passage that the open span is cited to; None in plain text."""
        return None if self._cited is None else self._cited.passage.id

    def add(self, piece: str) -> str:
        """Add text that the answer goes on with, and return it as it was added.

        A cited span that begins right after the end of a sentence gets the space that stands there in training too: a
        small model forgets it, with a passage between the two, and would glue its sentences together.
        """
        begins = self._cited is not None and self._cited_pieces == len(self._pieces)
        if begins and self._pieces and piece[:1].isalnum() and self._pieces[-1][-1:] in _SENTENCE_ENDS:
            piece = f" {piece}"
        self._pieces.append(piece)
        self._length += len(piece)
        return piece

    def looked_up(self, query: NDArray[np.float32], found: list[ScoredPassage], *, used: bool) -> None:
        """A lookup was made here."""
        self.lookups.append(Lookup(self._length, query, found, used))

    def open(self, found: ScoredPassage) -> None:
        """What follows is cited to `found`."""
        self._cited, self._cited_pieces, self._cited_start = found, len(self._pieces), self._length
        if all(found.row != used.row for used in self.passages):
            self.passages.append(found)

    def close(self) -> Citation | None:
        """End the cited span, if one is open; None also where it holds nothing but white space."""
        if self._cited is None:
            return None
        found, self._cited = self._cited, None
        citation = _citation("".join(self._pieces[self._cited_pieces :]), self._cited_start, found)
        if citation is not None:
            self.citations.append(citation)
        return citation


def _citation(cited: str, offset: int, found: ScoredPassage) -> Citation | None:
    span = cited.strip()
    if not span:
        return None
    start = offset + len(cited) - len(cited.lstrip())
    return Citation(start, start + len(span), found.passage.id, found.score, found.probability)
