"""What a store asks of whatever holds its vectors: one part's search and reading, in arrays."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Hit(NamedTuple):
    """One result of a lookup: the passage's row and the inner product of query and sequence embedding."""

    row: int
    score: float


class Nearest(NamedTuple):
    """The results of a search as arrays, so that a lookup costs little beside the search itself."""

    scores: NDArray[np.float32]
    """`float32[n, k]`, best first, the lower row first among equals; -inf where there are fewer."""

    rows: NDArray[np.int64]
    """`int64[n, k]`; -1 where there are fewer."""

    @property
    def is_full(self) -> bool:
        """Whether every query has as many rows as it may have; `k` is at least 1."""
        return -1 not in self.rows[:, -1].tolist()

    def numbered_from(self, start: int) -> "Nearest":
        """The same results of a part whose first row is the row `start` of the whole."""
        return Nearest(self.scores, np.where(self.rows < 0, -1, self.rows + start))


def best_of(scores: NDArray[np.float32], rows: NDArray[np.int64], top_k: int) -> Nearest:
    """The best of what was found for each query, the lower row first among equals.

    Args:
        scores: `float32[n, m]`, -inf where nothing was found.
        rows: `int64[n, m]`.
        top_k: Results for each query; all `m` where there are fewer.
    """
    order = np.lexsort((rows, -scores), axis=1)[:, :top_k]
    if len(order) > 1:  # as places in the arrays laid flat: taking along an axis costs more than ordering a few
        order += np.arange(len(order))[:, None] * scores.shape[1]
    return Nearest(scores.take(order), rows.take(order))


def merged(found: Sequence[Nearest], top_k: int) -> Nearest:
    """The best of several results, at least one, for the same queries; see `best_of`."""
    scores = np.concatenate([nearest.scores for nearest in found], axis=1)
    return best_of(scores, np.concatenate([nearest.rows for nearest in found], axis=1), top_k)


def nothing(queries: int) -> Nearest:
    """No result for any of the queries."""
    return Nearest(np.empty((queries, 0), np.float32), np.empty((queries, 0), np.int64))


class Vectors(Protocol):
    """The vectors of one part of a store. Searches may run in many threads at once."""

    def __len__(self) -> int:
        """Rows, tombstoned ones included."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""

    def search(self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None) -> Nearest:
        """The nearest rows of each query; a tombstoned row is never among them.

        Args:
            queries: `float32[n, d]`, finite.
            top_k: At least 1.
            rows: Candidate rows of this part, sorted, unique, none tombstoned; None for all live ones.

        Raises:
            InputError: `top_k`, the shape of the queries or a row is wrong.
        """

    def reconstruct(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of rows, `float32[n, d]`, exactly as they were encoded.

        Raises:
            StoreError: They were not kept.
        """

    @property
    def keeps_vectors(self) -> bool:
        """Whether `reconstruct` can answer."""

    def close(self) -> None:
        """Let go of the files."""
