"""The index types. A new one is one class with the members of `IndexType` and one entry in `INDEX_TYPES`."""

import math
import re
from collections.abc import Mapping
from typing import Protocol

import faiss

from semiparametric.errors import InputError
from semiparametric.store.index_structure import HNSW_EF_SEARCH, IVF_NPROBE, inverted_lists, search_setting

Parameters = Mapping[str, int | str]
"""The numbers of an index type by name; of `factory` also its string."""

Given = Mapping[str, int | str | None]
"""Numbers that a user gave; None for those to be derived."""

READ_FLAGS = faiss.IO_FLAG_MMAP_IFC | faiss.IO_FLAG_READ_ONLY
"""How faiss opens a file: memory-mapped, whatever the type (vectors, codes, graphs and inverted lists)."""

RESCORE = 4
"""Candidates for each result that a lossy type compares again with the vectors themselves, where they are kept."""

_PQ_CENTROIDS = 256  # one byte for each part of a vector


class IndexType(Protocol):
    """One way to search vectors for the greatest inner product."""

    def resolve(self, count: int, dimension: int, given: Given) -> Parameters:
        """All its numbers: those given, the others by count and dimension; the search setting only if given.

        Raises:
            InputError: It cannot be built so; the message says what can.
        """

    def create(self, dimension: int, parameters: Parameters) -> faiss.Index:
        """An empty index over inner products."""


class Flat:
    """Compares with every vector: exact."""

    def resolve(self, count: int, dimension: int, given: Given) -> Parameters:
        """It has no numbers."""
        return {}

    def create(self, dimension: int, parameters: Parameters) -> faiss.Index:
        """An exact index."""
        return faiss.IndexFlatIP(dimension)


class Hnsw:
    """Walks a graph of near neighbours: sublinear, finds nearly all."""

    def resolve(self, count: int, dimension: int, given: Given) -> Parameters:
        """Links and candidates as given, or faiss's usual ones."""
        numbers: dict[str, int | str] = {
            "hnsw_m": given.get("hnsw_m") or 32,
            "hnsw_ef_construction": given.get("hnsw_ef_construction") or 200,
        }
        return numbers | _given(given, HNSW_EF_SEARCH)

    def create(self, dimension: int, parameters: Parameters) -> faiss.Index:
        """An empty graph. Its level generator has a fixed seed of faiss's own."""
        index = faiss.IndexHNSWFlat(dimension, int(parameters["hnsw_m"]), faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = int(parameters["hnsw_ef_construction"])
        return index


class Ivf:
    """Sorts the vectors into lists by their nearest centre and searches the lists nearest to the query."""

    def __init__(self, codes: str) -> None:
        """Args: codes: How a vector stands in its list, in the words of `faiss.index_factory`."""
        self._codes = codes

    def resolve(self, count: int, dimension: int, given: Given) -> Parameters:
        """So many lists that finding the nearest ones costs about as much as searching them."""
        lists = int(given.get("ivf_lists") or default_lists(count))
        if lists > count:
            raise InputError(
                f"ivf_lists is {lists}, but there are only {count} vectors in a part",
                remedy=f"Choose from 1 to {count} lists, or none to have {default_lists(count)}",
            )
        numbers: dict[str, int | str] = {"ivf_lists": lists}
        if self._codes != "Flat":
            numbers |= _rescore(given)
        return numbers | _given(given, IVF_NPROBE)

    def create(self, dimension: int, parameters: Parameters) -> faiss.Index:
        """Empty lists without centres: to be trained."""
        return _factory(dimension, f"IVF{parameters['ivf_lists']},{self._codes}")


class IvfPq(Ivf):
    """As `Ivf`, a vector being `pq_m` bytes, each of which names one of 256 learned values of a part of it.

    OPQ turns the vectors first so that the parts have as little to do with one another as can be.
    """

    def __init__(self) -> None:
        super().__init__("PQ")

    def resolve(self, count: int, dimension: int, given: Given) -> Parameters:
        """A byte for four dimensions, or for the next number of them that divides the dimension."""
        if count < _PQ_CENTROIDS:
            raise InputError(
                f"ivf-pq learns {_PQ_CENTROIDS} values from the vectors, but there are only {count} in a part",
                remedy="Choose the index type flat",
            )
        choices = [number for number in range(1, dimension + 1) if dimension % number == 0]
        numbers = dict(super().resolve(count, dimension, given))
        pq_m = int(given.get("pq_m") or max(number for number in choices if number <= max(1, dimension / 4)))
        if pq_m not in choices:
            raise InputError(
                f"pq_m is {pq_m}, which does not divide the dimension, {dimension}",
                remedy=f"Choose one of {', '.join(map(str, choices))}",
            )
        opq = given.get("pq_opq")
        return {"pq_m": pq_m, "pq_opq": 1 if opq is None else int(opq)} | numbers

    def create(self, dimension: int, parameters: Parameters) -> faiss.Index:
        """An empty index behind an unlearned rotation."""
        pq_m = parameters["pq_m"]
        rotation = f"OPQ{pq_m}," if parameters["pq_opq"] else ""
        return _factory(dimension, f"{rotation}IVF{parameters['ivf_lists']},PQ{pq_m}x8")


class Factory:
    """Whatever `faiss.index_factory` can make of a string."""

    def resolve(self, count: int, dimension: int, given: Given) -> Parameters:
        """The string, and the number for the graph or the lists in it if one was given."""
        text = given.get("factory")
        if not text:
            raise InputError("the index type factory wants a string", remedy='Set factory, as in "OPQ16,IVF256,PQ16"')
        index = _factory(dimension, str(text))
        lists = inverted_lists(index)
        if lists is not None and lists.nlist > count:
            raise InputError(
                f"the factory string {text!r} makes {lists.nlist} lists, but there are only {count} vectors in a part",
                remedy=f"Write at most IVF{count}; IVF{default_lists(count)} would be usual",
            )
        name = search_setting(index)
        return {"factory": str(text)} | _rescore(given) | (_given(given, name) if name else {})

    def create(self, dimension: int, parameters: Parameters) -> faiss.Index:
        """An empty index of the string."""
        return _factory(dimension, str(parameters["factory"]))


INDEX_TYPES: Mapping[str, IndexType] = {
    "flat": Flat(),
    "hnsw": Hnsw(),
    "ivf-flat": Ivf("Flat"),
    "ivf-sq8": Ivf("SQ8"),
    "ivf-pq": IvfPq(),
    "factory": Factory(),
}


def index_type(name: str) -> IndexType:
    """The index type of a name.

    Raises:
        InputError: There is none.
    """
    if name not in INDEX_TYPES:
        raise InputError(f"{name!r} is no index type", remedy=f"Choose one of {', '.join(INDEX_TYPES)}")
    return INDEX_TYPES[name]


def default_lists(count: int) -> int:
    """Lists for so many vectors: four times the root, and at least sixteen vectors for each."""
    return max(1, min(4 * math.isqrt(count), count // 16))


def _given(given: Given, name: str) -> dict[str, int | str]:
    value = given.get(name)
    return {} if value is None else {name: value}


def _rescore(given: Given) -> dict[str, int | str]:
    value = given.get("rescore")
    return {"rescore": RESCORE if value is None else value}


def _factory(dimension: int, text: str) -> faiss.Index:
    """An empty index of a factory string.

    Raises:
        InputError: It is no factory string, or faiss cannot make it so that it compares by inner product.
    """
    where = f"factory string {text!r}"
    try:
        index = faiss.index_factory(dimension, text, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"faiss makes no index of it for {dimension} dimensions: {reason(error)}",
            where=where,
            remedy='Write one as in "IVF256,Flat", "HNSW32,SQ8" or "OPQ16,IVF256,PQ16"; numbers after OPQ and PQ '
            "must divide the dimension",
        ) from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise InputError("faiss has this type for other distances only, not for inner products", where=where)
    return index


def reason(error: Exception) -> str:
    """What faiss says, without its source file and line."""
    text = str(error).rsplit("failed: ", 1)[-1].strip()
    return re.sub(r"^Error in .* at \S+:\d+: (Error: )?", "", text, flags=re.DOTALL)
