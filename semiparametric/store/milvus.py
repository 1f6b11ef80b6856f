"""A part of a store in Milvus: the vectors of a version are one collection there.

The passages stay in `passages.arrow` beside the manifest, which names the database and the collection. A collection
never changes once it is written: rows deleted later are excluded from each search, so that an older version, which
may still be served, goes on finding them.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.store.backend import Nearest, best_of, merged
from semiparametric.store.milvus_client import (
    CALL_SECONDS,
    ROW,
    VECTOR,
    connect,
    disconnect,
    located,
    milvus_errors,
    while_loaded,
)

EXACT_CANDIDATES = 4096
"""Up to so many candidate rows are compared one by one where the index itself is not exact."""

_EXACT_BYTES = 8 << 20  # of candidate vectors fetched for that at most
_MOST_RESULTS = 16384  # of one search or query; Milvus refuses more
_EXPRESSION_ROWS = 8192  # named in one filter expression
_RESULTS_AT_ONCE = 1 << 18  # over all queries of one call
_NONE: NDArray[np.int64] = np.empty(0, np.int64)


class MilvusVectors:
    """The vectors of one part, in a collection. Searches may run in many threads at once.

    Args:
        uri: Where the database is, as the manifest has it.
        collection: The collection's name.
        index: The index's folder; a local database that lies in it is named relative to it.
        index_type: `flat`, `hnsw` or `auto`.
        parameters: The type's numbers.
        deleted: Rows of this part that no lookup may give, ascending.

    Raises:
        StoreError: The database cannot be reached, or has no such collection.
    """

    def __init__(
        self,
        uri: str,
        collection: str,
        *,
        index: Path,
        index_type: str,
        parameters: Mapping[str, int | str],
        deleted: NDArray[np.int64] = _NONE,
    ) -> None:
        self._where = f"{uri}, collection {collection}"
        self._collection = collection
        self._exact_index = index_type == "flat"
        self._parameters = parameters
        self._uri = located(uri, index)
        self._client = connect(self._uri)
        try:
            self._dimension, self._count = self._opened()
        except BaseException:
            self.close()
            raise
        self._live: NDArray[np.int64] | None = None
        if len(deleted):
            self._live = np.setdiff1d(np.arange(self._count), deleted, assume_unique=True)

    def _opened(self) -> tuple[int, int]:
        with milvus_errors(self._where):
            if not self._client.has_collection(self._collection, timeout=CALL_SECONDS):
                raise StoreError(
                    "there is no such collection",
                    where=self._where,
                    remedy="Bring it back from a backup of the database, or build the index again",
                )
            fields = self._client.describe_collection(self._collection, timeout=CALL_SECONDS)["fields"]
            self._client.load_collection(self._collection)  # returns at once where it is loaded
            return self._dimension_of(fields), self._counted()

    def _dimension_of(self, fields: list[dict[str, Any]]) -> int:
        for field in fields:
            if field["name"] == VECTOR and "dim" in field["params"]:
                return int(field["params"]["dim"])
        raise StoreError(f"has no field {VECTOR!r} of vectors", where=self._where, remedy="Build the index again")

    def _counted(self) -> int:
        counted = self._client.query(
            self._collection, output_fields=["count(*)"], consistency_level="Strong", timeout=CALL_SECONDS
        )
        return int(counted[0]["count(*)"])

    def __len__(self) -> int:
        return self._count

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._dimension

    @property
    def keeps_vectors(self) -> bool:
        """Milvus gives vectors back as they were inserted, whatever its index."""
        return True

    def search(self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None) -> Nearest:
        """The `top_k` rows of greatest inner product for each query, best first, the lower row first among equals.

        Args:
            queries: `float32[n, d]`, finite.
            top_k: At least 1 and at most 16,384; cut to the number of candidates.
            rows: Candidate rows, ascending, none of them deleted; None for all live ones.

        Raises:
            InputError: `top_k`, the shape of the queries or a row is wrong.
            StoreError: The database does not answer.
        """
        self._check(queries, top_k, rows)
        candidates = self._live if rows is None else rows
        top_k = min(top_k, self._count if candidates is None else len(candidates))
        if not top_k or not len(queries):
            return _empty(len(queries), top_k)
        with milvus_errors(self._where):
            if candidates is None:
                found = self._ask(queries, top_k, "")
            elif len(candidates) <= _EXPRESSION_ROWS:
                found = self._among(queries, top_k, candidates)
            else:
                found = self._among_many(queries, top_k, candidates)
            return self._completed(found, queries, top_k, candidates)

    def reconstruct(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of rows, in their order, exactly as they were encoded, `float32[n, d]`.

        Raises:
            InputError: A row is not one of the collection.
            StoreError: The database does not answer, or has lost one of them.
        """
        self._check_rows(rows)
        vectors = np.empty((len(rows), self._dimension), np.float32)
        step = max(1, min(_EXPRESSION_ROWS, _EXACT_BYTES // (4 * self._dimension)))
        with milvus_errors(self._where):
            for start in range(0, len(rows), step):
                vectors[start : start + step] = self._fetched(rows[start : start + step])
        return vectors

    def close(self) -> None:
        """Let go of the connection; the collection stays loaded, since others may be searching it."""
        disconnect(self._uri)

    def _fetched(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        wanted = np.unique(rows)
        found = self._call(self._client.query, ids=wanted.tolist(), output_fields=[ROW, VECTOR])
        by_row = {int(entity[ROW]): entity[VECTOR] for entity in found}
        lost = [row for row in wanted.tolist() if row not in by_row]
        if lost:
            raise StoreError(f"it has no row {lost[0]}", where=self._where, remedy="Build the index again")
        return np.array([by_row[row] for row in rows.tolist()], np.float32)

    def _ask(self, queries: NDArray[np.float32], limit: int, expression: str) -> Nearest:
        """One search by Milvus, in portions of queries. `[n, limit]`, padded where it found fewer."""
        found = _empty(len(queries), limit)
        step = max(1, _RESULTS_AT_ONCE // limit)
        for start in range(0, len(queries), step):
            answers = self._call(
                self._client.search,
                data=list(queries[start : start + step]),
                anns_field=VECTOR,
                filter=expression,
                limit=limit,
                output_fields=[ROW],
                search_params={"metric_type": "IP", "params": self._search_parameters(limit)},
                consistency_level="Eventually",  # a collection is whole before it is ever searched
            )
            for number, answer in enumerate(answers, start):
                found.rows[number, : len(answer)] = answer.ids
                found.scores[number, : len(answer)] = answer.distances
        return best_of(found.scores, found.rows, limit)

    def _call(self, call: Callable[..., Any], **given: Any) -> Any:
        return while_loaded(self._client, self._collection, call, **given)

    def _search_parameters(self, limit: int) -> dict[str, int]:
        if "hnsw_ef_search" not in self._parameters:
            return {}
        return {"ef": max(int(self._parameters["hnsw_ef_search"]), limit)}

    def _among(self, queries: NDArray[np.float32], top_k: int, candidates: NDArray[np.int64]) -> Nearest:
        """Few enough to name them all."""
        few = len(candidates) <= EXACT_CANDIDATES and 4 * self._dimension * len(candidates) <= _EXACT_BYTES
        if few and not self._exact_index:
            return self._compared(queries, top_k, candidates)
        return self._ask(queries, top_k, f"{ROW} in {candidates.tolist()}")

    def _among_many(self, queries: NDArray[np.float32], top_k: int, candidates: NDArray[np.int64]) -> Nearest:
        """Take more than `top_k` of all rows and keep the candidates: the first of those are the first of these.

        Where that gave a query too few, its candidates are named, some thousands at a time.
        """
        limit = math.ceil(1.5 * top_k * self._count / len(candidates)) + 32
        limit = max(top_k, min(limit, self._count, _MOST_RESULTS))
        allowed = np.zeros(self._count + 1, bool)  # the last one stands for row -1, which is none
        allowed[candidates] = True
        found = self._ask(queries, limit, "")
        found = _among(found, allowed[found.rows], top_k)
        short = np.flatnonzero((found.rows < 0).any(axis=1))
        if not len(short):
            return found
        best = _empty(len(short), top_k)
        for expression in self._expressions(candidates, allowed):
            best = merged([best, self._ask(queries[short], top_k, expression)], top_k)
        found.rows[short], found.scores[short] = best.rows, best.scores
        return found

    def _expressions(self, candidates: NDArray[np.int64], allowed: NDArray[np.bool_]) -> Iterator[str]:
        excluded = np.flatnonzero(~allowed[:-1])
        if len(excluded) <= _EXPRESSION_ROWS:
            yield f"{ROW} not in {excluded.tolist()}"
            return
        for start in range(0, len(candidates), _EXPRESSION_ROWS):
            yield f"{ROW} in {candidates[start : start + _EXPRESSION_ROWS].tolist()}"

    def _completed(
        self, found: Nearest, queries: NDArray[np.float32], top_k: int, candidates: NDArray[np.int64] | None
    ) -> Nearest:
        """With the exact answer for each query that an approximate index gave too few rows."""
        short = np.flatnonzero((found.rows < 0).any(axis=1))
        if len(short):
            every = np.arange(self._count) if candidates is None else candidates
            exact = self._compared(queries[short], top_k, every)
            found.rows[short], found.scores[short] = exact.rows, exact.scores
        return found

    def _compared(self, queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64]) -> Nearest:
        """Inner products with the vectors themselves, fetched in portions of bounded memory."""
        best = _empty(len(queries), top_k)
        step = max(1, _EXACT_BYTES // (4 * self._dimension))
        for start in range(0, len(rows), step):
            block = rows[start : start + step]
            scores = queries @ self.reconstruct(block).T
            best = merged([best, Nearest(scores, np.broadcast_to(block, scores.shape))], top_k)
        return best

    def _check(self, queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64] | None) -> None:
        if not 1 <= top_k <= _MOST_RESULTS:
            raise InputError(f"top_k is {top_k}", remedy=f"Milvus gives 1 to {_MOST_RESULTS} passages")
        if queries.ndim != 2 or queries.shape[1] != self._dimension:
            raise InputError(
                f"queries have the shape {list(queries.shape)}, the index wants [n, {self._dimension}]",
                remedy="Use the pair that the index was built with",
            )
        if not np.isfinite(queries).all():
            raise InputError("a query holds NaN or infinity", remedy="Check the pair's weights")
        if rows is not None:
            self._check_rows(rows)

    def _check_rows(self, rows: NDArray[np.int64]) -> None:
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._count:
            outside = rows.min() if rows.min() < 0 else rows.max()
            raise InputError(f"row {outside} is not one of the {self._count} rows")


def _empty(count: int, top_k: int) -> Nearest:
    """Nothing found yet."""
    return Nearest(np.full((count, top_k), -np.inf, np.float32), np.full((count, top_k), -1, np.int64))


def _among(found: Nearest, keep: NDArray[np.bool_], top_k: int) -> Nearest:
    """The best results that `keep[n, m]` does not deny."""
    return best_of(np.where(keep, found.scores, np.float32(-np.inf)), np.where(keep, found.rows, -1), top_k)
