"""The plane of a map: exact principal components, the same on every call."""

import numpy as np
import pytest
from numpy.typing import NDArray

from service import plane as plane_module
from service.plane import evenly_spaced, fit_plane


def uneven(count: int, dimension: int, *, seed: int = 0) -> NDArray[np.float32]:
    """Vectors round a centre off the origin that differ less and less from one dimension to the next."""
    dice = np.random.default_rng(seed)
    return (dice.normal(size=(count, dimension)) * np.geomspace(2, 0.1, dimension) + 3).astype(np.float32)


@pytest.mark.parametrize(("count", "dimension"), [(300, 20), (20, 300), (40, 40), (3, 2), (2, 5)])
def test_the_axes_are_those_of_a_singular_value_decomposition(count: int, dimension: int) -> None:
    vectors = uneven(count, dimension)
    plane = fit_plane(vectors)
    centred = vectors.astype(np.float64) - vectors.astype(np.float64).mean(axis=0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    for axis, direction, size in zip(plane.axes, directions, sizes, strict=False):
        expected = direction if size > 1e-9 else np.zeros(dimension)
        assert min(np.abs(axis - expected).max(), np.abs(axis + expected).max()) < 1e-6
    assert plane.share(vectors) == pytest.approx(np.square(sizes[:2]).sum() / np.square(sizes).sum())


def test_points_are_where_the_axes_say() -> None:
    vectors = uneven(50, 8)
    plane = fit_plane(vectors)
    points = plane.points(vectors)
    assert np.allclose(points.mean(axis=0), 0, atol=1e-6)
    assert np.allclose(points[:, 0], (vectors - plane.origin) @ plane.axes[0])
    assert np.allclose(plane.axes @ plane.axes.T, np.eye(2))


def test_the_same_vectors_give_the_same_plane_bit_for_bit_and_its_sign_is_settled() -> None:
    vectors = uneven(60, 12)
    plane, again = fit_plane(vectors), fit_plane(vectors.copy())
    assert plane.axes.tobytes() == again.axes.tobytes()
    for axis in plane.axes:
        assert axis[np.abs(axis).argmax()] > 0


def test_vectors_of_many_dimensions_are_fitted_by_some_that_are_evenly_spaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plane_module, "_LARGEST", 16)
    vectors = uneven(200, 17)
    expected = fit_plane(vectors[evenly_spaced(200, 16)])
    assert np.array_equal(fit_plane(vectors).axes, expected.axes)
    assert not np.array_equal(fit_plane(vectors[:, :16]).axes, fit_plane(vectors[evenly_spaced(200, 16), :16]).axes)


@pytest.mark.parametrize(("count", "dimension"), [(1, 4), (5, 1)])
def test_where_nothing_varies_all_points_lie_in_one_place_or_on_a_line(count: int, dimension: int) -> None:
    vectors = uneven(count, dimension)
    plane = fit_plane(vectors)
    points = plane.points(vectors)
    assert points.shape == (count, 2)
    assert np.isfinite(points).all()
    assert not points[:, 1].any()
    assert plane.share(vectors) == pytest.approx(1)


def test_equal_vectors_have_no_direction() -> None:
    vectors = np.full((9, 3), 0.1, np.float32)
    assert not fit_plane(vectors).axes.any()


@pytest.mark.parametrize(("count", "most"), [(0, 3), (3, 3), (4, 3), (10_000, 4096), (2, 5), (1000, 2)])
def test_evenly_spaced_numbers_span_all(count: int, most: int) -> None:
    numbers = evenly_spaced(count, most)
    assert len(set(numbers.tolist())) == min(count, most)
    assert numbers.tolist() == sorted(numbers.tolist())
    if count:
        assert (numbers[0], numbers[-1]) == (0, count - 1)
        assert np.ptp(np.diff(numbers)) <= 1
