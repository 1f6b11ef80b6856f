"""Writing the parts of a version's vectors."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_summary import IndexSummary
from semiparametric.store.index_writing import Blocks, write_vectors
from semiparametric.store.manifest import VectorPart
from semiparametric.store.parts import shard_threads
from semiparametric.store.tradeoff import summarise
from semiparametric.store.vectors import VectorIndex


def write_parts(folder: Path, blocks: Blocks, plan: IndexPlan) -> tuple[list[VectorPart], IndexSummary]:
    """Write the vectors as the plan says, in one part or in shards, and keep them beside parts that lose some of them.

    Args:
        folder: Where the files go.
        blocks: All vectors, `float32[n, d]` each, in the order of rows; read several times.
        plan: What to write.

    Returns:
        The parts, and how well they are searched.

    Raises:
        InputError: There is no vector, or the plan cannot be carried out with these.
        OSError: The disk is full, or the like.
    """
    stretches = [Stretch(blocks, rows) for rows in plan.part_rows(sum(map(len, blocks)))]
    names = [""] if plan.shards == 1 else [f"-{number}" for number in range(plan.shards)]
    if plan.shards == 1 or plan.on_gpu:
        parts = [_write_part(folder, plan, *part) for part in zip(names, stretches, strict=True)]
    else:
        with shard_threads(plan.shards) as threads:
            parts = list(threads.map(partial(_write_part, folder, plan), names, stretches))
    with ExitStack() as opened:
        indexes = []
        for part in parts:
            indexes.append(open_index(folder, part, plan))
            opened.callback(indexes[-1].close)
        size = sum((folder / str(part.file)).stat().st_size for part in parts)
        return parts, summarise(indexes, blocks, plan, bytes_written=size)


def write_delta(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write the vectors of a delta, `float32[n, d]`: a flat index, which is exact and keeps them."""
    write_vectors(path, [vectors], IndexPlan.flat(vectors.shape[1]))


def open_index(folder: Path, part: VectorPart, plan: IndexPlan) -> VectorIndex:
    """Open a part that was just written."""
    return VectorIndex(folder / str(part.file), plan, exact=folder / part.exact if part.exact else None)


class Stretch:
    """The vectors of a stretch of rows, in blocks; like what they are cut from, iterated any number of times."""

    def __init__(self, blocks: Blocks, rows: range) -> None:
        self._blocks = blocks
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        start = 0
        for block in self._blocks:
            inside = block[max(0, self._rows.start - start) : max(0, self._rows.stop - start)]
            if len(inside):
                yield inside
            start += len(block)
            if start >= self._rows.stop:
                return


def _write_part(folder: Path, plan: IndexPlan, name: str, vectors: Stretch) -> VectorPart:
    file, exact = f"index{name}.faiss", f"vectors{name}.npy"
    write_vectors(folder / file, vectors, plan)
    kept = plan.lossy and plan.keep_vectors
    if kept:
        _write_exact(folder / exact, vectors, plan.dimension)
    return VectorPart(file=file, count=len(vectors), exact=exact if kept else None)


def _write_exact(path: Path, vectors: Stretch, dimension: int) -> None:
    header = {"descr": "<f4", "fortran_order": False, "shape": (len(vectors), dimension)}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for block in vectors:
            file.write(np.ascontiguousarray(block, "<f4").data)
