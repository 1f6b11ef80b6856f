"""`index.faiss`: writing it from blocks of vectors, and looking up the nearest of all rows or of some."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.store.index_types import index_type

EXACT_CANDIDATES = 4096
"""Up to so many candidate rows are compared one by one: exact, and faster than a walk that rejects most it meets."""

_BLOCK = 65536  # vectors scored at once where a graph walk found too few


@dataclass(frozen=True)
class Hit:
    """One result of a lookup: the passage's row and the inner product of query and sequence embedding."""

    row: int
    score: float


class VectorIndex:
    """A read-only index. Searches may run in many threads at once: none changes it.

    Raises:
        StoreError: The file is missing, cut short or not an inner-product index.
    """

    def __init__(self, path: Path, type_name: str, parameters: Mapping[str, int]) -> None:
        self._type = index_type(type_name)
        self._parameters = parameters
        if not path.is_file():
            raise StoreError("the file is missing", where=str(path), remedy="Build the index again")
        try:
            self._index = faiss.read_index(str(path), self._type.read_flags)
        except RuntimeError as error:  # faiss has one exception for all that can be wrong with a file
            raise StoreError(
                f"cannot be read as a faiss index: {_reason(error)}", where=str(path), remedy="Build the index again"
            ) from error
        if self._index.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise StoreError("is not an index over inner products", where=str(path), remedy="Build the index again")

    def __len__(self) -> int:
        return int(self._index.ntotal)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def search(
        self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None
    ) -> list[list[Hit]]:
        """The `top_k` rows of greatest inner product for each query, best first, the lower row first among equals.

        Args:
            queries: `float32[n, d]`, finite.
            top_k: At least 1; cut to the number of rows.
            rows: Rows to choose from, in any order; None for all.

        Raises:
            InputError: `top_k`, the shape of the queries or a row is wrong.
        """
        self._check(queries, top_k)
        if rows is None:
            return self._search(queries, min(top_k, len(self)), None)
        rows = self._checked_rows(rows)
        if not len(rows):
            return [[] for _ in queries]
        top_k = min(top_k, len(rows))
        if len(rows) <= EXACT_CANDIDATES:
            return self._exact(queries, top_k, rows)
        return self._search(queries, top_k, rows)

    def _search(self, queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64] | None) -> list[list[Hit]]:
        selector = None if rows is None else _selector(rows, len(self))
        parameters = self._type.search_parameters(self._parameters, top_k, selector)
        scores, found = self._index.search(np.ascontiguousarray(queries, np.float32), top_k, params=parameters)
        order = np.lexsort((found, -scores), axis=1)  # faiss leaves the order of equal scores open
        found, scores = np.take_along_axis(found, order, axis=1), np.take_along_axis(scores, order, axis=1)
        hits = [_hits(*pair) for pair in zip(found, scores, strict=True)]
        short = np.flatnonzero((found < 0).any(axis=1))  # a graph walk may end before it has met enough
        if len(short):
            every = np.arange(len(self)) if rows is None else rows
            for number, exact in zip(short, self._exact(queries[short], top_k, every), strict=True):
                hits[number] = exact
        return hits

    def _exact(self, queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64]) -> list[list[Hit]]:
        """Inner products with each of the rows, in blocks of bounded memory."""
        best_rows = np.empty((len(queries), 0), np.int64)
        best_scores = np.empty((len(queries), 0), np.float32)
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            scores = np.concatenate([best_scores, queries @ self._index.reconstruct_batch(block).T], axis=1)
            numbers = np.concatenate([best_rows, np.broadcast_to(block, (len(queries), len(block)))], axis=1)
            order = np.lexsort((numbers, -scores), axis=1)[:, :top_k]
            best_rows = np.take_along_axis(numbers, order, axis=1)
            best_scores = np.take_along_axis(scores, order, axis=1)
        return [_hits(*pair) for pair in zip(best_rows, best_scores, strict=True)]

    def _check(self, queries: NDArray[np.float32], top_k: int) -> None:
        if top_k < 1:
            raise InputError(f"top_k is {top_k}", remedy="Ask for at least one passage")
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise InputError(
                f"queries have the shape {list(queries.shape)}, the index wants [n, {self.dimension}]",
                remedy="Use the pair that the index was built with",
            )
        if not np.isfinite(queries).all():
            raise InputError("a query holds NaN or infinity", remedy="Check the pair's weights")

    def _checked_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = np.unique(np.asarray(rows, np.int64))
        if len(rows) and not 0 <= rows[0] <= rows[-1] < len(self):
            outside = rows[0] if rows[0] < 0 else rows[-1]
            raise InputError(f"row {outside} is not one of the {len(self)} rows")
        return rows


def write_vectors(
    path: Path, blocks: Iterable[NDArray[np.float32]], type_name: str, parameters: Mapping[str, int]
) -> None:
    """Build an index from blocks of vectors, `float32[n, d]` each, and write it; rows are numbered as they come.

    The same blocks give the same bytes. (A graph depends on how its vectors are cut into blocks.)

    Raises:
        InputError: There is no vector, or the blocks differ in dimension.
    """
    index: faiss.Index | None = None
    with _one_thread():
        for block in blocks:
            index = index or index_type(type_name).create(block.shape[1], parameters)
            if block.shape[1] != index.d:
                raise InputError(f"a block has {block.shape[1]} dimensions, those before it {index.d}")
            index.add(np.ascontiguousarray(block, np.float32))
    if index is None or not index.ntotal:
        raise InputError("there is no vector to index")
    with path.open("wb") as file:  # through Python, so that a full disk is an OSError at every byte, the last included
        faiss.write_index(index, faiss.PyCallbackIOWriter(file.write))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads race for the links of a graph, so only one gives the same graph each time.

    It costs 1.6 s instead of 1.0 s for 6,000 vectors of 256 dimensions on two cores; encoding them takes far longer.
    """
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _selector(rows: NDArray[np.int64], count: int) -> faiss.IDSelector:
    """A bitmap: an eighth of a byte per row of the index, and one memory access per question."""
    allowed = np.zeros(count, bool)
    allowed[rows] = True
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _hits(rows: NDArray[np.int64], scores: NDArray[np.float32]) -> list[Hit]:
    return [Hit(row, score) for row, score in zip(rows.tolist(), scores.tolist(), strict=True)]


def _reason(error: RuntimeError) -> str:
    """What faiss says, without its source file and line."""
    return str(error).rsplit("failed: ", 1)[-1].strip()
