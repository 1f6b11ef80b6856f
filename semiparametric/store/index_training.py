"""How long an index is trained: bounds on k-means and on learned rotations, whatever factory string it came from."""

from typing import Any

import faiss

from semiparametric.store.index_structure import layers

_ROUNDS = 10  # of k-means: more move the centres little
_PER_CENTRE = 64  # vectors that k-means sees for each centre
_ROTATION_ROUNDS = 10  # of turning the vectors and learning codes for what comes out
_ROTATION_VECTORS = 16_384


def bound_training(index: faiss.Index) -> list[Any]:
    """Set the bounds of an untrained index.

    Without them, a rotation of 384 dimensions for codes of 96 bytes takes more than half an hour of one core. What is
    too few vectors was checked before; faiss would print a line at every k-means.

    Returns:
        What the caller must keep until the index is trained.
    """
    kept: list[Any] = []
    for layer in layers(index):
        if isinstance(layer, faiss.IndexPreTransform):
            kept += [_bound_rotation(layer.chain.at(number)) for number in range(layer.chain.size())]
        if isinstance(layer, faiss.IndexIVF):
            layer.cp.niter = _ROUNDS
            _bound(layer.cp)
        if isinstance(layer, faiss.IndexIVFPQ | faiss.IndexPQ):
            layer.pq.cp.niter = _ROUNDS
            _bound(layer.pq.cp)
    return kept


def _bound(clustering: Any) -> None:
    clustering.max_points_per_centroid = _PER_CENTRE
    clustering.min_points_per_centroid = 1


def _bound_rotation(transform: faiss.VectorTransform) -> Any:
    rotation = faiss.downcast_VectorTransform(transform)
    if not isinstance(rotation, faiss.OPQMatrix):
        return None
    rotation.niter = _ROTATION_ROUNDS
    rotation.max_train_points = _ROTATION_VECTORS
    quantizer = faiss.ProductQuantizer(rotation.d_out, rotation.M, 8)
    _bound(quantizer.cp)
    rotation.pq = quantizer
    return quantizer
