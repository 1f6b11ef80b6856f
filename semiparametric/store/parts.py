"""The parts of a version's vectors as one: searched in parallel, merged exactly."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from semiparametric.store.backend import Nearest, Vectors, merged, nothing
from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.manifest import Manifest, VectorPart
from semiparametric.store.vectors import Indexed, VectorIndex


class Parts:
    """Several parts as one, rows numbered through. Searches may run in many threads at once.

    The shards of a build are searched by threads of their own, since faiss frees the interpreter while it searches. A
    delta is small: the calling thread searches it.

    Args:
        parts: The parts in the order of rows.
        deleted: Rows of all parts that no search may give, ascending.
        shards: So many of the first parts are shards.
    """

    def __init__(self, parts: Sequence[Vectors], deleted: NDArray[np.int64], *, shards: int = 1) -> None:
        self.parts = list(parts)
        self._starts = np.cumsum([0, *(len(part) for part in parts)])
        live_counts = np.diff(self._starts) - np.diff(np.searchsorted(deleted, self._starts))
        self._all: list[tuple[int, None]] = [(number, None) for number, live in enumerate(live_counts.tolist()) if live]
        self._shards = shards if shards > 1 else 0
        self._pool = shard_threads(shards) if shards > 1 else None

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.parts[0].dimension

    @property
    def keeps_vectors(self) -> bool:
        """Whether every part does."""
        return all(part.keeps_vectors for part in self.parts)

    def search(self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None) -> Nearest:
        """The nearest rows of each query over all parts; see `Vectors.search`."""
        tasks = self._tasks(rows)
        if len(tasks) == 1 and len(self.parts) == 1:
            return self.parts[0].search(queries, top_k, rows=rows)
        waiting = [
            self._pool.submit(self._search, number, queries, top_k, inside)
            for number, inside in tasks
            if self._pool is not None and number < self._shards
        ]
        found = [self._search(number, queries, top_k, inside) for number, inside in tasks if number >= self._shards]
        return merged([nothing(len(queries)), *(future.result() for future in waiting), *found], top_k)

    def _tasks(self, rows: NDArray[np.int64] | None) -> Sequence[tuple[int, NDArray[np.int64] | None]]:
        """The parts to search, each with its own candidates."""
        if rows is None:
            return self._all
        cuts = np.searchsorted(rows, self._starts)
        inside = [rows[cuts[number] : cuts[number + 1]] - self._starts[number] for number in range(len(self.parts))]
        return [(number, candidates) for number, candidates in enumerate(inside) if len(candidates)]

    def _search(self, number: int, queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64] | None) -> Nearest:
        return self.parts[number].search(queries, top_k, rows=rows).numbered_from(self._starts[number])

    def reconstruct(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of rows, in their order, `float32[n, d]`.

        Raises:
            StoreError: A part did not keep them.
        """
        vectors = np.empty((len(rows), self.dimension), np.float32)
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(numbers).tolist():
            inside = np.flatnonzero(numbers == number)
            vectors[inside] = self.parts[number].reconstruct(rows[inside] - self._starts[number])
        return vectors

    def close(self) -> None:
        """Let go of the threads and the files."""
        if self._pool is not None:
            self._pool.shutdown()
        for part in self.parts:
            part.close()


def open_parts(manifest: Manifest, folder: Path, deleted: NDArray[np.int64]) -> Parts:
    """Open all parts of the version in a folder.

    Raises:
        StoreError: A part is missing or damaged, or a database does not answer.
    """
    shards = sum(not part.delta for part in manifest.parts)
    parts: list[Vectors] = []
    start = 0
    with ExitStack() as opened:
        for part in manifest.parts:
            inside = deleted[slice(*np.searchsorted(deleted, [start, start + part.count]))] - start
            index = IndexPlan.flat(manifest.index.dimension) if part.delta else manifest.index
            parts.append(open_vectors(part, index, folder, inside))
            opened.callback(parts[-1].close)
            start += part.count
        opened.pop_all()
    return Parts(parts, deleted, shards=shards)


def open_vectors(part: VectorPart, index: Indexed, folder: Path, deleted: NDArray[np.int64]) -> Vectors:
    """Open one part: what holds it, the manifest says.

    Args:
        part: The part.
        index: How it is searched.
        folder: The version's folder.
        deleted: Rows of this part that no search may give, ascending.

    Raises:
        StoreError: It is missing or damaged, or the database does not answer.
    """
    if part.collection is not None:
        from semiparametric.store.milvus import MilvusVectors  # its library is needed only here

        return MilvusVectors(
            str(part.uri),
            part.collection,
            index=folder.parent.parent,
            index_type=index.index_type,
            parameters=index.index_parameters,
            deleted=deleted,
        )
    exact = None if part.exact is None else folder / part.exact
    return VectorIndex(folder / str(part.file), index, deleted=deleted, exact=exact)


def shard_threads(shards: int) -> ThreadPoolExecutor:
    """Threads for so many shards; together they use as many cores as one index would."""
    cores = len(os.sched_getaffinity(0))
    own = max(1, faiss.omp_get_max_threads() // shards)  # faiss's setting is one of each calling thread
    return ThreadPoolExecutor(
        min(shards, max(1, cores)),
        thread_name_prefix="shard",
        initializer=faiss.omp_set_num_threads,
        initargs=(own,),
    )
