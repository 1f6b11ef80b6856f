"""What a store asks of whatever holds its vectors: one part's search and reading, in arrays."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Hit(NamedTuple):
    """One result of a lookup: the passage's row and the inner product of query and sequence embedding."""

    row: int
    score: float


@dataclass(frozen=True)
class Nearest:
    """The results of a search as arrays, so that a lookup costs little beside the search itself."""

    scores: NDArray[np.float32]
    """`float32[n, k]`, best first, the lower row first among equals; -inf where there are fewer."""

    rows: NDArray[np.int64]
    """`int64[n, k]`; -1 where there are fewer."""

    @cached_property
    def is_full(self) -> bool:
        """Whether every query has as many rows as it may have; `k` is at least 1."""
        return min(self.rows[:, -1].tolist(), default=0) >= 0


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
