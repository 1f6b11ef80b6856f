"""What a faiss index is made of, whatever factory string it came from, and how a search reaches its inside."""

from collections.abc import Iterator

import faiss

HNSW_EF_SEARCH, IVF_NPROBE = "hnsw_ef_search", "ivf_nprobe"
_ROW_NUMBER = 8  # bytes
_LEVEL_AND_OFFSET = 12  # bytes
_RESTRICTED = (faiss.IndexHNSW, faiss.IndexFlat, faiss.IndexScalarQuantizer, faiss.IndexRaBitQ)


def layers(index: faiss.Index) -> Iterator[faiss.Index]:
    """The index and what it wraps, from the outside to the one that finds the candidates."""
    layer = faiss.downcast_index(index)
    while True:
        yield layer
        if isinstance(layer, faiss.IndexRefine):
            layer = faiss.downcast_index(layer.base_index)
        elif isinstance(layer, faiss.IndexPreTransform):
            layer = faiss.downcast_index(layer.index)
        else:
            return


def core(index: faiss.Index) -> faiss.Index:
    """The layer that finds the candidates: a graph, inverted lists, or codes that are all compared."""
    return list(layers(index))[-1]


def inverted_lists(index: faiss.Index) -> faiss.IndexIVF | None:
    """The layer that has inverted lists, if there is one."""
    found = core(index)
    return found if isinstance(found, faiss.IndexIVF) else None


def search_setting(index: faiss.Index) -> str | None:
    """The name of the number that trades time for recall; None where every search compares all."""
    found = core(index)
    if isinstance(found, faiss.IndexHNSW):
        return HNSW_EF_SEARCH
    return IVF_NPROBE if isinstance(found, faiss.IndexIVF) else None


def greatest_effort(index: faiss.Index) -> int:
    """The value of that number above which nothing is gained."""
    found = core(index)
    return int(found.nlist) if isinstance(found, faiss.IndexIVF) else max(int(index.ntotal), 1)


def refines(index: faiss.Index) -> bool:
    """Whether a layer compares the candidates again, with better codes."""
    return any(isinstance(layer, faiss.IndexRefine) for layer in layers(index))


def holds_vectors(index: faiss.Index) -> bool:
    """Whether the vectors themselves are in the index, bit for bit."""
    outer = faiss.downcast_index(index)
    if isinstance(outer, faiss.IndexRefine):
        return isinstance(faiss.downcast_index(outer.refine_index), faiss.IndexFlat)
    if isinstance(outer, faiss.IndexHNSW):
        return isinstance(faiss.downcast_index(outer.storage), faiss.IndexFlat)
    return isinstance(outer, faiss.IndexFlat | faiss.IndexIVFFlat)


def restricts(index: faiss.Index) -> bool:
    """Whether faiss can choose among some of the rows of such an index."""
    found = core(index)
    if isinstance(found, faiss.IndexIVF):
        return not isinstance(found, faiss.IndexIVFAdditiveQuantizer)
    return isinstance(found, _RESTRICTED)


def bytes_per_vector(index: faiss.Index) -> float:
    """What each vector adds to the file of an index: its code, its row number in a list, its links in a graph."""
    layer = faiss.downcast_index(index)
    if isinstance(layer, faiss.IndexRefine):
        return bytes_per_vector(layer.base_index) + bytes_per_vector(layer.refine_index)
    if isinstance(layer, faiss.IndexPreTransform):
        return bytes_per_vector(layer.index)
    if isinstance(layer, faiss.IndexIVF):
        return float(layer.code_size) + _ROW_NUMBER
    if isinstance(layer, faiss.IndexHNSW):
        links = int(layer.hnsw.nb_neighbors(1))  # on each level above the ground, which has twice as many
        above = 1 / (links - 1)  # levels that a vector has there, on average
        return bytes_per_vector(layer.storage) + 4 * links * (2 + above) + _LEVEL_AND_OFFSET
    return float(layer.sa_code_size())


def fills_in_parallel(index: faiss.Index) -> bool:
    """Whether several threads train and fill a layer to the same bytes as one does."""
    layer = faiss.downcast_index(index)
    if isinstance(layer, faiss.IndexIVF):
        return fills_in_parallel(layer.quantizer)
    return isinstance(layer, faiss.IndexFlatCodes)


def search_parameters(
    index: faiss.Index, effort: int | None, selector: faiss.IDSelector | None, refine: int
) -> faiss.SearchParameters | None:
    """What one search is told, for each layer: whom to choose from, how hard to look, how many to compare again.

    None where a type takes no such word.

    Args:
        index: The index or one of its layers.
        effort: The value of `search_setting`; None for the index's own.
        selector: The rows to choose from; None for all.
        refine: Candidates that a refining layer compares again for each result.
    """
    layer = faiss.downcast_index(index)
    if isinstance(layer, faiss.IndexRefine):
        inner = search_parameters(layer.base_index, effort, selector, refine)
        return faiss.IndexRefineSearchParameters(k_factor=float(refine), base_index_params=inner)
    if isinstance(layer, faiss.IndexPreTransform):
        return faiss.SearchParametersPreTransform(index_params=search_parameters(layer.index, effort, selector, refine))
    if isinstance(layer, faiss.IndexIVF):
        return faiss.SearchParametersIVF(sel=selector, nprobe=effort or int(layer.nprobe))
    if isinstance(layer, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(sel=selector, efSearch=effort or int(layer.hnsw.efSearch))
    return faiss.SearchParameters(sel=selector) if isinstance(layer, _RESTRICTED) else None
