"""The plane in which vectors differ most, to draw many dimensions in two: principal component analysis, exact."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST = 1024
"""The time of a fit grows with the cube of the smaller of number and dimension: it is this at most."""


@dataclass(frozen=True)
class Plane:
    """Two orthonormal directions through the mean of the vectors it was fitted to.

    origin: that mean, `float64[d]`.
    axes: `float64[2, d]`, the direction of the greatest variance first; zero where there is no variance left.
    """

    origin: NDArray[np.float64]
    axes: NDArray[np.float64]

    def points(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Where vectors `float32[n, d]` lie in the plane, `float64[n, 2]`."""
        points: NDArray[np.float64] = (vectors - self.origin) @ self.axes.T
        return points

    def share(self, vectors: NDArray[np.float32]) -> float:
        """How much of the variance of vectors `float32[n, d]` the plane shows, 0 to 1; 1 where they have none."""
        total = np.square(vectors - self.origin).sum()
        return float(np.square(self.points(vectors)).sum() / total) if total else 1.0


def fit_plane(vectors: NDArray[np.float32]) -> Plane:
    """The plane of one or more vectors `float32[n, d]`; always the same.

    It is fitted to all of them, or where they have more than `_LARGEST` dimensions to so many of them, evenly spaced.
    """
    num_fitted = len(vectors) if vectors.shape[1] <= _LARGEST else _LARGEST
    fitted = vectors[evenly_spaced(len(vectors), num_fitted)].astype(np.float64)
    origin = fitted.mean(axis=0)
    return Plane(origin, _directions(fitted - origin))


def evenly_spaced(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the numbers 0 .. count - 1, ascending and evenly spaced, both ends among them; `int64[n]`."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def _directions(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first two right singular vectors, `[2, d]`, from the smaller of the two matrices of inner products."""
    n, d = centred.shape
    axes = np.zeros((2, d))
    wide = n < d
    products = centred @ centred.T if wide else centred.T @ centred
    variances, vectors = np.linalg.eigh(products)
    floor = np.finfo(np.float64).eps * max(n, d) * variances.max()
    for axis, number in zip(axes, range(len(variances) - 1, -1, -1), strict=False):
        if variances[number] > floor:
            direction = centred.T @ vectors[:, number] if wide else vectors[:, number]
            axis[:] = _oriented(direction / np.linalg.norm(direction))
    return axes


def _oriented(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The direction or its opposite, whose largest coordinate is positive: the solver leaves the sign open."""
    return direction if direction[np.abs(direction).argmax()] > 0 else -direction
