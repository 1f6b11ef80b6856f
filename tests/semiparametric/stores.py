"""Small stores for tests: passages named p0, p1, ... with random vectors."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiparametric.formats import Passage
from semiparametric.store import BuildRecord, Extension, Manifest, VersionWriter
from semiparametric.store.index_plan import IndexPlan

PAIR = "pair-a"


def random_vectors(count: int, dimension: int = 16, seed: int = 0) -> NDArray[np.float32]:
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return np.array(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def passages(count: int) -> list[Passage]:
    return [
        Passage(id=f"p{n}", title=f"Title {n}", text=f"Text {n}.", metadata={"even": n % 2 == 0, "number": n})
        for n in range(count)
    ]


def record() -> BuildRecord:
    now = datetime.now(UTC)
    return BuildRecord(sources=["a test"], settings={}, libraries={}, started=now, finished=now)


def build(
    index: Path,
    entries: Sequence[Passage],
    vectors: NDArray[np.float32],
    kind: str = "flat",
    fingerprint: str = PAIR,
    shards: int = 1,
    **more: object,
) -> Manifest:
    writer = VersionWriter(index)
    corpus = writer.write_passages(entries)
    numbers = {"hnsw_ef_search": 128, "ivf_nprobe": 8}
    plan = IndexPlan.checked(kind, numbers, count=len(vectors), dimension=vectors.shape[1], shards=shards, **more)
    summary = writer.write_vectors([vectors], plan)
    return writer.publish(name="tests", fingerprint=fingerprint, corpus=corpus, index=summary, build=record())


def extend(
    index: Path,
    added: Sequence[Passage] = (),
    vectors: NDArray[np.float32] | None = None,
    deleted: Sequence[str] = (),
) -> Manifest:
    with Extension(index) as extension:
        vectors = np.empty((0, extension.base.dimension), np.float32) if vectors is None else vectors
        return extension.publish(added=added, vectors=vectors, deleted_ids=deleted, build=record())


def build_extended(index: Path) -> Path:
    """An index whose second version has files of every kind."""
    build(index, passages(50), random_vectors(50))
    extend(index, [Passage(id="new", text="x")], random_vectors(1, seed=1), ["p3"])
    return index
