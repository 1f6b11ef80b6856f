"""The lookup: the nearest sequences in the store, with what is left of their scores after a softmax."""

from collections.abc import Sequence, Set
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from semiparametric.formats import Passage
from service.decoding.answer import ScoredPassage

CANDIDATES = 64  # nearest passages over which `probability` is taken, when `top_k` is smaller


class Found(Protocol):
    """A row of the store and its score."""

    @property
    def row(self) -> int:
        """Where the passage stands in the store."""
        ...

    @property
    def score(self) -> float:
        """Inner product of query and sequence embedding."""
        ...


class PassageStore(Protocol):
    """What a lookup needs of `semiparametric.store.Store`; both methods are called from threads."""

    def search(
        self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None
    ) -> Sequence[Sequence[Found]]:
        """The nearest rows of each query `float32[n, d]`, best first."""
        ...

    def passage(self, row: int) -> Passage:
        """The passage of a row."""
        ...


def look_up(
    store: PassageStore,
    query: NDArray[np.float32],
    *,
    top_k: int,
    temperature: float,
    rows: NDArray[np.int64] | None = None,
    used: Set[int] = frozenset(),
) -> list[ScoredPassage]:
    """The `top_k` best passages for a query state `float32[d]` that are not in `used`, best first; fewer if few remain.

    rows: the only rows to consider; None considers all.
    """
    nearest = max(top_k, CANDIDATES)
    hits = store.search(query[None, :], nearest + len(used), rows=rows)[0]
    eligible = [hit for hit in hits if hit.row not in used][:nearest]
    probabilities = _softmax(np.array([hit.score for hit in eligible]) / temperature)
    return [
        ScoredPassage(hit.row, store.passage(hit.row), float(hit.score), float(probability))
        for hit, probability in zip(eligible[:top_k], probabilities, strict=False)
    ]


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.exp(scores - scores.max(initial=-np.inf))
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares
