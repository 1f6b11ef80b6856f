"""Training and filling an index to the same bytes with any number of threads, in bounded time.

Several threads give the bytes that one gives where k-means runs and where lists and codes are filled. They race for the
links of a graph, and they round otherwise where vectors are turned by a matrix; there only one works.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from semiparametric.store.index_structure import fills_in_parallel, layers

_ROUNDS = 10  # of k-means: more move the centres little
_PER_CENTRE = 64  # vectors that k-means sees for each centre
_ROTATION_ROUNDS = 10  # of turning the vectors and learning codes for what comes out
_ROTATION_VECTORS = 16_384


def train(index: faiss.Index, vectors: NDArray[np.float32]) -> None:
    """Train an index and all that it wraps on a sample, `float32[n, d]`."""
    index = faiss.downcast_index(index)
    if index.is_trained:
        return
    if isinstance(index, faiss.IndexRefine):
        train(index.base_index, vectors)
        train(index.refine_index, vectors)
    elif isinstance(index, faiss.IndexPreTransform):
        with _threads(several=False):
            for transform in _transforms(index):
                if not transform.is_trained:
                    transform.train(vectors)
                vectors = transform.apply(vectors)
        train(index.index, vectors)
    else:
        with _threads(several=fills_in_parallel(index)):
            index.train(vectors)
    index.is_trained = True


def add(index: faiss.Index, vectors: NDArray[np.float32]) -> None:
    """Add vectors, `float32[n, d]`, to an index and to all that it wraps."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexRefine):
        add(index.base_index, vectors)
        add(index.refine_index, vectors)
        index.ntotal = index.refine_index.ntotal
    elif isinstance(index, faiss.IndexPreTransform):
        with _threads(several=False):
            for transform in _transforms(index):
                vectors = transform.apply(vectors)
        add(index.index, vectors)
        index.ntotal = index.index.ntotal
    else:
        with _threads(several=fills_in_parallel(index)):
            index.add(vectors)


def bound_training(index: faiss.Index) -> list[Any]:
    """Bound k-means and the learning of rotations in an untrained index, whatever factory string it came from.

    Without that, a rotation of 384 dimensions for codes of 96 bytes takes more than half an hour of one core. What is
    too few vectors was checked before; faiss would print a line at every k-means.

    Returns:
        What the caller must keep until the index is trained.
    """
    kept: list[Any] = []
    for layer in layers(index):
        if isinstance(layer, faiss.IndexPreTransform):
            kept += [_bound_rotation(transform) for transform in _transforms(layer)]
        if isinstance(layer, faiss.IndexIVF):
            layer.cp.niter = _ROUNDS
            _bound(layer.cp)
        if isinstance(layer, faiss.IndexIVFPQ | faiss.IndexPQ):
            layer.do_polysemous_training = False  # it orders codes for a filter that is never asked for
            layer.pq.cp.niter = _ROUNDS
            _bound(layer.pq.cp)
    return kept


def _transforms(index: faiss.IndexPreTransform) -> list[faiss.VectorTransform]:
    return [faiss.downcast_VectorTransform(index.chain.at(number)) for number in range(index.chain.size())]


def _bound(clustering: Any) -> None:
    clustering.max_points_per_centroid = _PER_CENTRE
    clustering.min_points_per_centroid = 1


def _bound_rotation(rotation: faiss.VectorTransform) -> Any:
    if not isinstance(rotation, faiss.OPQMatrix):
        return None
    rotation.niter = _ROTATION_ROUNDS
    rotation.max_train_points = _ROTATION_VECTORS
    quantizer = faiss.ProductQuantizer(rotation.d_out, rotation.M, 8)
    _bound(quantizer.cp)
    rotation.pq = quantizer
    return quantizer


@contextmanager
def _threads(*, several: bool) -> Iterator[None]:
    """All threads, or one.

    One costs 1.6 s instead of 1.0 s for a graph of 6,000 vectors of 256 dimensions on two cores.
    """
    threads = faiss.omp_get_max_threads()
    if not several:
        faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
