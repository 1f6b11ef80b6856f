"""`index.faiss` of one part: looking up the nearest of all rows or of some, memory-mapped."""

import math
import threading
from collections.abc import Mapping
from operator import gt
from pathlib import Path
from typing import Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.store.backend import Hit, Nearest, best_of, merged, nothing
from semiparametric.store.index_structure import (
    core,
    greatest_effort,
    holds_vectors,
    inverted_lists,
    restricts,
    search_parameters,
    search_setting,
)
from semiparametric.store.index_types import READ_FLAGS, reason
from semiparametric.store.index_writing import write_vectors

__all__ = ["EXACT_CANDIDATES", "Hit", "VectorIndex", "write_vectors"]

EXACT_CANDIDATES = 4096
"""Up to so many candidate rows are compared one by one: exact, and faster than a walk that rejects most it meets."""

_BLOCK = 65536  # vectors compared at once in an exact comparison
_REMEDY = "Build the index again"


class Indexed(Protocol):
    """How a part is searched, from an `IndexPlan` or an `IndexSummary`."""

    @property
    def index_type(self) -> str:
        """A name in `INDEX_TYPES`."""

    @property
    def index_parameters(self) -> Mapping[str, int | str]:
        """The type's numbers."""


class VectorIndex:
    """One part of the vectors, read-only. Searches may run in many threads at once: none changes it.

    Args:
        path: The file of the index.
        index: How it is searched.
        deleted: Rows of this part that no search may give, ascending.
        exact: The file of the vectors as encoded, where the index holds them only approximately and they were kept.

    Raises:
        StoreError: A file is missing, cut short or not what it should be.
    """

    def __init__(
        self, path: Path, index: Indexed, *, deleted: NDArray[np.int64] | None = None, exact: Path | None = None
    ) -> None:
        self.path = path
        self._index = _read(path)
        self._count, self._dimension = int(self._index.ntotal), int(self._index.d)
        self._exact = None if exact is None else _read_exact(exact, self._count, self._dimension)
        self._holds_vectors = holds_vectors(self._index)
        self._refine = int(index.index_parameters.get("rescore", 1)) or 1
        self._rescore = self._refine if self._exact is not None and not self._holds_vectors else 1
        self._live = _live_rows(self._count, deleted)
        self._restricts = restricts(self._index)
        name = search_setting(self._index)
        effort = index.index_parameters.get(name) if name else None
        self._effort = None if effort is None else int(effort)
        self._positions = threading.Lock()
        self._lists_without_positions = inverted_lists(self._index)
        self._selector = None if self._live is None or not self._restricts else _selector(self._live, self._count)
        self._parameters = self._search_parameters(None, self._selector, self._live_count / max(self._count, 1))

    def __len__(self) -> int:
        return self._count

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    @property
    def keeps_vectors(self) -> bool:
        """Whether the vectors are there as they were encoded."""
        return self._holds_vectors or self._exact is not None

    @property
    def greatest_effort(self) -> int:
        """The value of the search setting above which nothing is gained."""
        return greatest_effort(self._index)

    @property
    def gives_exact_scores(self) -> bool:
        """Whether the scores of a search are the inner products with the vectors as they were encoded."""
        return self._holds_vectors or self._rescore > 1

    def search(
        self,
        queries: NDArray[np.float32],
        top_k: int,
        *,
        rows: NDArray[np.int64] | None = None,
        effort: int | None = None,
    ) -> Nearest:
        """The `top_k` rows of greatest inner product for each query.

        Args:
            queries: `float32[n, d]`, finite.
            top_k: At least 1.
            rows: Rows to choose from, ascending, none twice, none deleted; None for all that are not deleted.
            effort: The value of the search setting for this search; None for that of the index.

        Raises:
            InputError: `top_k`, the shape of the queries or a row is wrong.
        """
        self._check(queries, top_k, rows)
        queries = np.ascontiguousarray(queries, np.float32)
        allowed = self._live_count if rows is None else len(rows)
        k = min(top_k, allowed)
        if not k:
            return _padded(nothing(len(queries)), top_k)
        if rows is None:
            rows = self._live
            nearest = (
                self._search(queries, k, self._parameters if effort is None else self._with_effort(effort))
                if rows is None or self._restricts
                else self._compare(queries, k, rows)
            )
        elif allowed <= self._compared_at_most(effort):
            return _padded(self._compare(queries, k, rows), top_k)
        else:
            selector = _selector(rows, self._count)
            parameters = self._search_parameters(effort, selector, allowed / self._count)
            nearest = self._search(queries, k, parameters)
        return _padded(self._completed(nearest, queries, rows), top_k)

    def reconstruct(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of rows, in their order, exactly as they were encoded, `float32[n, d]`.

        Raises:
            StoreError: They were not kept.
        """
        if not self.keeps_vectors:
            raise StoreError(
                "the index holds its vectors only approximately, and they were not kept beside it",
                remedy="Build it with keep_vectors, or with another index type",
            )
        return self._vectors(rows)

    def close(self) -> None:
        """Let go of the files."""
        self._index = self._exact = self._parameters = self._lists_without_positions = None  # closing twice is no error

    @property
    def _live_count(self) -> int:
        return self._count if self._live is None else len(self._live)

    def _search_parameters(
        self, effort: int | None, selector: faiss.IDSelector | None, share: float
    ) -> faiss.SearchParameters | None:
        """A restricted search looks harder, so that it meets as many of the rows it may give as a free one."""
        effort = effort or self._effort
        if effort is not None and share < 1:
            effort = min(math.ceil(effort / max(share, 1 / self._count)), self.greatest_effort)
        return search_parameters(self._index, effort, selector, self._refine)

    def _with_effort(self, effort: int) -> faiss.SearchParameters | None:
        return self._search_parameters(effort, self._selector, self._live_count / self._count)

    def _compared_at_most(self, effort: int | None) -> int:
        """Candidates that are compared one by one: a restricted walk through a graph meets more than these."""
        if not self._restricts:
            return self._count
        if not isinstance(core(self._index), faiss.IndexHNSW):
            return EXACT_CANDIDATES
        met = 16 * (effort or self._effort or 16)  # vectors that a free walk compares, about
        return max(EXACT_CANDIDATES, math.isqrt(met * self._count))

    def _search(self, queries: NDArray[np.float32], k: int, parameters: faiss.SearchParameters | None) -> Nearest:
        fetched = min(k * self._rescore, self._live_count)
        scores, rows = self._index.search(queries, fetched, params=parameters)
        if self._rescore == 1:
            return _ordered(scores, rows)
        scores.fill(-np.inf)  # of what the walk did not find
        places = map(faiss.swig_ptr, (scores, queries, self._exact, rows))  # read where they are mapped, never copied
        faiss.fvec_inner_products_by_idx(*places, self._dimension, *rows.shape)
        return best_of(scores, rows, k)

    def _completed(self, nearest: Nearest, queries: NDArray[np.float32], rows: NDArray[np.int64] | None) -> Nearest:
        """Where a walk ended before it had met enough rows, all that it may give are compared."""
        if not nearest.is_full:
            short = np.flatnonzero(nearest.rows[:, -1] < 0)
            every = np.arange(self._count) if rows is None else rows
            exact = self._compare(queries[short], nearest.rows.shape[1], every)
            nearest = Nearest(nearest.scores.copy(), nearest.rows.copy())
            nearest.rows[short], nearest.scores[short] = exact.rows, exact.scores
        return nearest

    def _compare(self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64]) -> Nearest:
        """Inner products with each of the rows, in blocks of bounded memory."""
        best = nothing(len(queries))
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            scores = queries @ self._vectors(block).T
            best = merged([best, Nearest(scores, np.broadcast_to(block, scores.shape))], k)
        return best

    def _vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of rows, as exactly as they are there."""
        if self._exact is not None:
            return self._exact[rows]
        with self._positions:
            if self._lists_without_positions is not None:  # 8 bytes a row, so not before they are asked for
                self._lists_without_positions.make_direct_map()
                self._lists_without_positions = None
        vectors: NDArray[np.float32] = self._index.reconstruct_batch(rows)
        return vectors

    def _check(self, queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64] | None) -> None:
        if top_k < 1:
            raise InputError(f"top_k is {top_k}", remedy="Ask for at least one passage")
        if queries.ndim != 2 or queries.shape[1] != self._dimension:
            raise InputError(
                f"queries have the shape {list(queries.shape)}, the index wants [n, {self._dimension}]",
                remedy="Use the pair that the index was built with",
            )
        numbers = queries.ravel()
        if not math.isfinite(numbers.dot(numbers)) and not np.isfinite(queries).all():  # the first takes a quarter
            raise InputError("a query holds NaN or infinity", remedy="Check the pair's weights")
        if rows is not None and len(rows) and not 0 <= rows[0] <= rows[-1] < self._count:
            outside = rows[0] if rows[0] < 0 else rows[-1]
            raise InputError(f"row {outside} is not one of the {self._count} rows")


def _read(path: Path) -> faiss.Index:
    if not path.is_file():
        raise StoreError("the file is missing", where=str(path), remedy=_REMEDY)
    try:
        index = faiss.read_index(str(path), READ_FLAGS)
    except RuntimeError as error:  # faiss has one exception for all that can be wrong with a file
        raise StoreError(
            f"cannot be read as a faiss index: {reason(error)}", where=str(path), remedy=_REMEDY
        ) from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise StoreError("is not an index over inner products", where=str(path), remedy=_REMEDY)
    return index


def _read_exact(path: Path, count: int, dimension: int) -> NDArray[np.float32]:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StoreError(f"cannot be read as vectors ({error})", where=str(path), remedy=_REMEDY) from error
    if vectors.dtype != np.float32 or vectors.shape != (count, dimension):
        raise StoreError(
            f"holds {vectors.dtype} {list(vectors.shape)}, its index float32 [{count}, {dimension}]",
            where=str(path),
            remedy=_REMEDY,
        )
    plain: NDArray[np.float32] = vectors.view(np.ndarray)
    return plain


def _live_rows(count: int, deleted: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """The rows that a search may give, ascending; None for all."""
    if deleted is None or not len(deleted):
        return None
    live = np.ones(count, bool)
    live[deleted] = False
    return np.flatnonzero(live)


def _selector(rows: NDArray[np.int64], count: int) -> faiss.IDSelector:
    """A bitmap: an eighth of a byte per row of the index, and one memory access per question."""
    allowed = np.zeros(count, bool)
    allowed[rows] = True
    return faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))


def _ordered(scores: NDArray[np.float32], rows: NDArray[np.int64]) -> Nearest:
    """Best first; faiss leaves the order of equal scores open."""
    if all(all(map(gt, line, line[1:])) for line in scores.tolist()):  # as numbers, few are faster than as arrays
        return Nearest(scores, rows)
    return best_of(np.where(rows < 0, np.float32(-np.inf), scores), rows, rows.shape[1])


def _padded(nearest: Nearest, top_k: int) -> Nearest:
    missing = top_k - nearest.rows.shape[1]
    if not missing:
        return nearest
    wider = ((0, 0), (0, missing))
    scores = np.pad(nearest.scores, wider, constant_values=-np.inf)
    return Nearest(scores, np.pad(nearest.rows, wider, constant_values=-1))
