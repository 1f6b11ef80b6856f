"""How much of the exact answer an index finds, measured on a sample and written into the manifest."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from semiparametric.store.vectors import VectorIndex

NEAREST = 10
_SAMPLE = 1000
_NOISE = 0.5  # of a vector's own length: a query is near its passage but not on it
_SEED = 0
_TOLERANCE = 1e-5  # relative; what two orders of float32 summation may differ by


def measure_recall(index: VectorIndex, blocks: Iterable[NDArray[np.float32]]) -> tuple[float, str]:
    """Compare lookups with exact search over the vectors themselves.

    A result counts when its score reaches that of the true tenth, so of several passages with equal vectors each is as
    good as the others.

    Args:
        index: The index to judge.
        blocks: All its vectors, `float32[n, d]` each, in the order of its rows; read twice.

    Returns:
        The share of the ten nearest that was found, and a sentence on what the queries were.
    """
    queries = _queries(blocks, len(index))
    exact = _exact_scores(blocks, queries, min(NEAREST, len(index)))
    found = index.search(queries, exact.shape[1])
    hits = 0
    for number, row in enumerate(found):
        least = exact[number, -1] - _TOLERANCE * abs(exact[number, -1])
        hits += sum(hit.score >= least for hit in row)
    words = f"vectors of {len(queries)} passages, each with Gaussian noise of {_NOISE} times its length (seed {_SEED})"
    return hits / exact.size, words


def _queries(blocks: Iterable[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    """Vectors of evenly chosen rows, disturbed; `float32[min(count, sample), d]`."""
    wanted = np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64)
    chosen, start = [], 0
    for block in blocks:
        inside = wanted[(wanted >= start) & (wanted < start + len(block))]
        chosen.append(np.array(block[inside - start]))
        start += len(block)
    vectors = np.concatenate(chosen)
    noise = np.random.default_rng(_SEED).standard_normal(vectors.shape).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    disturbed: NDArray[np.float32] = vectors + np.float32(_NOISE) * lengths * noise
    return disturbed


def _exact_scores(
    blocks: Iterable[NDArray[np.float32]], queries: NDArray[np.float32], top_k: int
) -> NDArray[np.float32]:
    """The greatest inner products of each query, best first, by plain matrix products. `float32[n, top_k]`."""
    best = np.full((len(queries), top_k), -np.inf, np.float32)
    for block in blocks:
        scores = np.concatenate([best, queries @ block.T], axis=1)
        best = np.partition(scores, -top_k, axis=1)[:, -top_k:]
    best.sort(axis=1)
    descending: NDArray[np.float32] = best[:, ::-1]
    return descending
