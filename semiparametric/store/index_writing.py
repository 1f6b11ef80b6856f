"""`index.faiss` of one part: training an index on a sample of the vectors, filling it, writing it."""

from collections.abc import Iterable
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError
from semiparametric.store import index_gpu
from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_training import add, bound_training, train
from semiparametric.store.index_types import reason

Blocks = Iterable[NDArray[np.float32]]
"""The vectors of a part, `float32[n, d]` each, in the order of its rows; iterated more than once."""

_SEED = 0


def write_vectors(path: Path, blocks: Blocks, plan: IndexPlan) -> None:
    """Build the index of one part from its vectors and write it; rows are numbered as they come.

    The same blocks give the same bytes with any number of threads, but not where a GPU builds it. (A graph depends on
    how its vectors are cut into blocks.)

    Raises:
        InputError: There is no vector, the blocks differ in dimension, or they do not suffice for the index type.
        OSError: The disk is full, or the like.
    """
    count = _checked_count(blocks, plan.dimension)
    try:
        index = (index_gpu.build(blocks, count, plan) if plan.on_gpu else None) or _build(blocks, count, plan)
    except RuntimeError as error:  # faiss has one exception for all that can be wrong with what it was given
        raise InputError(
            f"faiss cannot build the index type {plan.index_type} from {count} vectors: {reason(error)}",
            where=str(plan.index_parameters.get("factory", "")) or None,
            remedy="Choose another index type",
        ) from error
    with path.open("wb") as file:  # through Python, so that a full disk is an OSError at every byte, the last included
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))


def _build(blocks: Blocks, count: int, plan: IndexPlan) -> faiss.Index:
    index = plan.create()
    if not index.is_trained:
        kept = bound_training(index)
        train(index, sample(blocks, count, plan.training_vectors))
        del kept
    for block in blocks:
        add(index, np.ascontiguousarray(block, np.float32))
    return index


def sample(blocks: Blocks, count: int, greatest: int) -> NDArray[np.float32]:
    """Vectors at random rows, the same each time, in the order of their rows; `float32[min(count, greatest), d]`."""
    rows = np.arange(count)
    if count > greatest:
        rows = np.sort(np.random.default_rng(_SEED).choice(count, greatest, replace=False, shuffle=False))
    return at_rows(blocks, rows)


def at_rows(blocks: Blocks, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """The vectors at ascending rows, `float32[len(rows), d]`."""
    chosen, start = [], 0
    for block in blocks:
        first, last = np.searchsorted(rows, [start, start + len(block)])
        chosen.append(np.asarray(block[rows[first:last] - start], np.float32))
        start += len(block)
    return np.concatenate(chosen)


def _checked_count(blocks: Blocks, dimension: int) -> int:
    count = 0
    for block in blocks:
        if block.shape[1] != dimension:
            raise InputError(f"a block has {block.shape[1]} dimensions, the index is planned for {dimension}")
        count += len(block)
    if not count:
        raise InputError("there is no vector to index")
    return count
