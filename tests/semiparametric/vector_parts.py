"""Parts of vectors for tests: clustered vectors, and one small index of each kind over them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_writing import write_vectors
from semiparametric.store.vectors import VectorIndex

DIMENSION = 16

KINDS: Mapping[str, tuple[str, Mapping[str, int | str | None]]] = {
    "flat": ("flat", {}),
    "hnsw": ("hnsw", {"hnsw_m": 8, "hnsw_ef_construction": 40, "hnsw_ef_search": 48}),
    "ivf-flat": ("ivf-flat", {"ivf_lists": 24, "ivf_nprobe": 8}),
    "ivf-sq8": ("ivf-sq8", {"ivf_lists": 24, "ivf_nprobe": 8}),
    "ivf-pq": ("ivf-pq", {"ivf_lists": 24, "ivf_nprobe": 8, "pq_m": 8, "pq_opq": False}),
    "graph of codes": ("factory", {"factory": "HNSW8,SQ8", "hnsw_ef_search": 48}),
    "lists behind a rotation": ("factory", {"factory": "RR16,IVF24,PQ8x6", "ivf_nprobe": 8}),
    "lists, refined": ("factory", {"factory": "PCAR12,IVF24,PQ6x6,RFlat", "ivf_nprobe": 8, "rescore": 10}),
    "graph over lists": ("factory", {"factory": "IVF24_HNSW8,SQ8", "ivf_nprobe": 8}),
    "codes that faiss cannot restrict": ("factory", {"factory": "PQ8x6", "rescore": 10}),
}


def clustered_vectors(count: int, dimension: int = DIMENSION, seed: int = 0) -> NDArray[np.float32]:
    """Unit vectors around 40 centres, the same for each seed."""
    centres = np.random.default_rng(99).standard_normal((40, dimension))
    random = np.random.default_rng(seed)
    vectors = centres[random.integers(len(centres), size=count)] + 0.5 * random.standard_normal((count, dimension))
    return np.array(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def in_blocks(vectors: NDArray[np.float32], size: int = 500) -> list[NDArray[np.float32]]:
    return [vectors[start : start + size] for start in range(0, len(vectors), size)]


def planned(kind: str, count: int, dimension: int = DIMENSION) -> IndexPlan:
    name, numbers = KINDS[kind]
    return IndexPlan.checked(name, numbers, count=count, dimension=dimension)


def built(
    folder: Path,
    vectors: NDArray[np.float32],
    plan: IndexPlan,
    *,
    deleted: NDArray[np.int64] | None = None,
    keep_vectors: bool = True,
) -> VectorIndex:
    """Write a part as the store does, the vectors beside it where it is lossy, and open it."""
    folder.mkdir(exist_ok=True)
    path, exact = folder / "index.faiss", folder / "vectors.npy"
    if not path.exists():
        write_vectors(path, in_blocks(vectors), plan)
        np.save(exact, vectors)
    kept = exact if plan.lossy and keep_vectors else None
    return VectorIndex(path, plan, deleted=deleted, exact=kept)


def with_numbers(plan: IndexPlan, **numbers: int) -> IndexPlan:
    return replace(plan, index_parameters={**plan.index_parameters, **numbers})


def nearest_rows(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """The oracle: a full sort."""
    rows = np.arange(len(vectors)) if rows is None else rows
    order = np.argsort(-(queries @ vectors[rows].T), axis=1, kind="stable")[:, :top_k]
    return np.asarray(rows[order], np.int64)


def overlap(found: NDArray[np.int64], wanted: NDArray[np.int64]) -> float:
    """The share of the wanted rows that were found."""
    pairs = zip(found.tolist(), wanted.tolist(), strict=True)
    return float(np.mean([len(set(one) & set(other)) / len(other) for one, other in pairs]))
