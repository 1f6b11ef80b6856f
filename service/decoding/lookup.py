"""The lookup: its query, the nearest sequences in the store, and what is left of their scores after a softmax."""

from collections.abc import Sequence, Set
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from semiparametric.embedding import as_vector
from semiparametric.errors import PairError
from semiparametric.formats import Passage
from semiparametric.query_text import query_text
from semiparametric.spec import PairSpec
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

    @property
    def dimension(self) -> int:
        """Length of its vectors."""
        ...

    def search(
        self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None
    ) -> Sequence[Sequence[Found]]:
        """The nearest rows of each query `float32[n, d]`, best first."""
        ...

    def passage(self, row: int) -> Passage:
        """The passage of a row."""
        ...


class TextEncoder(Protocol):
    """What a lookup needs of `semiparametric.query_text.QueryEncoder`; called from threads."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Queries `float32[n, d]` of texts so far."""
        ...


class Lookups:
    """Lookups of one pair in one store.

    Args:
        store: Its vectors may be leading dimensions of the pair's; queries are cut to them.
        spec: The pair's.
        query_encoder: Makes the queries of a pair whose query is text; None where Gen's state is the query.

    Raises:
        PairError: The pair's query needs an encoder that is not given, or is given one that it does not use.
        InputError: The pair was not trained to serve with the store's dimension.
    """

    def __init__(self, store: PassageStore, spec: PairSpec, query_encoder: TextEncoder | None) -> None:
        if (spec.query == "text") != (query_encoder is not None):
            needed = "needs a query encoder" if query_encoder is None else "is no text, so it takes no query encoder"
            raise PairError(f"the pair's query, {spec.query!r}, {needed}", remedy="See load_query_encoder")
        spec.served_dimension(store.dimension)
        self._store = store
        self._spec = spec
        self._query_encoder = query_encoder

    @property
    def by_state(self) -> bool:
        """Whether Gen's query state is needed."""
        return self._query_encoder is None

    def find(
        self,
        state: NDArray[np.float32] | None,
        question: str,
        answer: str,
        *,
        top_k: int,
        rows: NDArray[np.int64] | None = None,
        used: Set[int] = frozenset(),
    ) -> tuple[NDArray[np.float32], list[ScoredPassage]]:
        """What is compared with the store's vectors, `float32[d]`, and what `look_up` finds with it.

        That is Gen's state or, without one, the text so far. It may encode that text and it searches, so call it in a
        thread.
        """
        query = self._query(state, question, answer)
        spec = self._spec
        return query, look_up(self._store, query, top_k=top_k, temperature=spec.temperature, rows=rows, used=used)

    def _query(self, state: NDArray[np.float32] | None, question: str, answer: str) -> NDArray[np.float32]:
        if state is None and self._query_encoder is not None:
            state = self._query_encoder.encode([query_text(question, answer)])[0]
        if state is None:
            raise PairError("a lookup by state was asked for without a state")
        return self._fitted(state)

    def _fitted(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """The leading dimensions that the store has, as they are compared."""
        dimension = self._store.dimension
        if len(query) == dimension:
            return query
        fitted: NDArray[np.float32] = as_vector(torch.from_numpy(query), self._spec, dimension=dimension).numpy()
        return fitted


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
