"""The index types. A new one is one class with these four members and one entry in `INDEX_TYPES`."""

from collections.abc import Mapping
from typing import Protocol

import faiss

from semiparametric.errors import InputError


class IndexType(Protocol):
    """One way to search vectors for the greatest inner product."""

    parameters: Mapping[str, int]
    """The type's numbers with their defaults; they are stored in the manifest."""

    read_flags: int
    """How faiss opens a file of this type: memory-mapped where it can."""

    def create(self, dimension: int, parameters: Mapping[str, int]) -> faiss.Index:
        """An empty index over inner products; the same vectors added in the same blocks must give the same bytes."""

    def search_parameters(
        self, parameters: Mapping[str, int], top_k: int, selector: faiss.IDSelector | None
    ) -> faiss.SearchParameters:
        """What one search is told: where to look, and how hard."""


class Flat:
    """Compares with every vector: exact."""

    parameters: Mapping[str, int] = {}
    read_flags: int = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY

    def create(self, dimension: int, parameters: Mapping[str, int]) -> faiss.Index:
        """An exact index."""
        return faiss.IndexFlatIP(dimension)

    def search_parameters(
        self,
        parameters: Mapping[str, int],
        top_k: int,
        selector: faiss.IDSelector | None,
    ) -> faiss.SearchParameters:
        """Only the restriction matters."""
        return faiss.SearchParameters(sel=selector)


class Hnsw:
    """Walks a graph of near neighbours: sublinear, finds nearly all."""

    parameters: Mapping[str, int] = {"hnsw_m": 32, "hnsw_ef_construction": 200, "hnsw_ef_search": 128}
    read_flags: int = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY

    def create(self, dimension: int, parameters: Mapping[str, int]) -> faiss.Index:
        """An empty graph. Its level generator has a fixed seed of faiss's own."""
        index = faiss.IndexHNSWFlat(dimension, parameters["hnsw_m"], faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = parameters["hnsw_ef_construction"]
        return index

    def search_parameters(
        self, parameters: Mapping[str, int], top_k: int, selector: faiss.IDSelector | None
    ) -> faiss.SearchParameters:
        """The walk keeps at least as many candidates as it must return."""
        return faiss.SearchParametersHNSW(sel=selector, efSearch=max(parameters["hnsw_ef_search"], top_k))


INDEX_TYPES: Mapping[str, IndexType] = {"flat": Flat(), "hnsw": Hnsw()}


def index_type(name: str) -> IndexType:
    """The index type of a name.

    Raises:
        InputError: There is none.
    """
    if name not in INDEX_TYPES:
        raise InputError(f"{name!r} is no index type", remedy=f"Choose one of {', '.join(INDEX_TYPES)}")
    return INDEX_TYPES[name]
