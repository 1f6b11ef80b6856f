"""How much of the exact answer lookups find, measured on a sample and written into the manifest."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semiparametric.store.backend import Nearest, Vectors
from semiparametric.store.index_writing import at_rows

NEAREST = (1, 10, 100)
"""Among so many results recall is measured."""

_SAMPLE = 1000
_NOISE = 0.5  # of a vector's own length: a query is near its passage but not on it
_SEED = 0
_TOLERANCE = 1e-5  # relative; what two orders of float32 summation may differ by
_AT_ONCE = 16384  # vectors that are compared with all queries at once

Blocks = Iterable[NDArray[np.float32]]
"""All vectors, `float32[n, d]` each, in the order of their rows; iterated more than once."""


@dataclass(frozen=True)
class Sample:
    """Queries and what exact search finds for them."""

    queries: NDArray[np.float32]
    """`float32[n, d]`."""

    exact: NDArray[np.float32]
    """`float32[n, k]`: the greatest inner products of each query, best first; k is 100, or the number of vectors."""

    @property
    def words(self) -> str:
        """What the queries are."""
        return (
            f"vectors of {len(self.queries)} passages, each with Gaussian noise of {_NOISE} times its length "
            f"(seed {_SEED})"
        )

    def recall(self, scores: NDArray[np.float32], nearest: int) -> float:
        """The share of the nearest that was found.

        A result counts when its score reaches that of the last of the true nearest, so of several passages with equal
        vectors each is as good as the others.

        Args:
            scores: The true inner products of what was found, best first, -inf where nothing was; `float32[n, k]`.
            nearest: How many nearest; cut to the number of vectors.
        """
        nearest = min(nearest, self.exact.shape[1])
        least = self.exact[:, nearest - 1 : nearest]
        found = scores[:, :nearest] >= least - _TOLERANCE * np.abs(least)
        return float(found.sum() / (len(found) * nearest))


def draw_sample(blocks: Blocks, count: int) -> Sample:
    """Disturbed vectors of evenly chosen rows, compared with all vectors by plain matrix products.

    Args:
        blocks: All vectors.
        count: How many there are.
    """
    rows = np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64)
    queries = _disturbed(at_rows(blocks, rows))
    return Sample(queries, _greatest(blocks, queries, min(NEAREST[-1], count)))


def measure_recall(index: Vectors, blocks: Blocks) -> tuple[float, str]:
    """Recall@10 of an index whose scores are inner products, and a sentence on what the queries were."""
    sample = draw_sample(blocks, len(index))
    return sample.recall(index.search(sample.queries, 10).scores, 10), sample.words


def true_scores(found: Nearest, queries: NDArray[np.float32], blocks: Blocks) -> NDArray[np.float32]:
    """The inner products of each query with the vectors of the rows found for it, best first; `float32[n, k]`."""
    rows, places = np.unique(np.maximum(found.rows, 0), return_inverse=True)
    vectors = at_rows(blocks, rows)
    scores = np.empty(found.rows.shape, np.float32)
    for number, (query, place) in enumerate(zip(queries, places.reshape(found.rows.shape), strict=True)):
        scores[number] = vectors[place] @ query
    scores[found.rows < 0] = -np.inf
    descending: NDArray[np.float32] = -np.sort(-scores, axis=1)
    return descending


def _disturbed(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    noise = np.random.default_rng(_SEED).standard_normal(vectors.shape).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    disturbed: NDArray[np.float32] = vectors + np.float32(_NOISE) * lengths * noise
    return disturbed


def _greatest(blocks: Blocks, queries: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """The greatest inner products of each query, best first; `float32[n, k]`."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    for vectors in _gathered(blocks):
        scores = np.concatenate([best, queries @ vectors.T], axis=1)
        best = np.partition(scores, -k, axis=1)[:, -k:]
    best.sort(axis=1)
    descending: NDArray[np.float32] = best[:, ::-1]
    return descending


def _gathered(blocks: Blocks) -> Blocks:
    """The same vectors in greater blocks, where they come in small ones."""
    waiting: list[NDArray[np.float32]] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= _AT_ONCE:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
