"""One part's vectors: every index type finds, restricts and gives back what it should, mapped from its file."""

import errno
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.store import index_gpu
from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_writing import write_vectors
from semiparametric.store.vectors import EXACT_CANDIDATES, VectorIndex
from tests.semiparametric.vector_parts import (
    DIMENSION,
    KINDS,
    built,
    clustered_vectors,
    in_blocks,
    nearest_rows,
    overlap,
    planned,
    with_numbers,
)

COUNT = EXACT_CANDIDATES + 1904
VECTORS = clustered_vectors(COUNT)
QUERIES = clustered_vectors(30, seed=1)
EXACT = ("flat", "codes that faiss cannot restrict")  # these compare all rows wherever a search is restricted

Parts = Callable[..., VectorIndex]


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Opens the part of a kind, which is built when it is first asked for."""
    folder = tmp_path_factory.mktemp("parts")

    def opened(kind: str, **given: object) -> VectorIndex:
        return built(folder / kind, VECTORS, planned(kind, COUNT), **given)  # type: ignore[arg-type]

    return opened


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_finds_what_a_full_sort_finds(part: Parts, kind: str) -> None:
    index = part(kind)
    nearest = index.search(QUERIES, 10)
    assert (len(index), index.dimension) == (COUNT, DIMENSION)
    assert (str(nearest.rows.dtype), str(nearest.scores.dtype), nearest.rows.shape) == ("int64", "float32", (30, 10))
    assert overlap(nearest.rows, nearest_rows(VECTORS, QUERIES, 10)) >= (1.0 if kind == "flat" else 0.9)
    assert (np.diff(nearest.scores, axis=1) <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_inner_products_where_the_vectors_were_kept(part: Parts, kind: str) -> None:
    nearest = part(kind).search(QUERIES, 10)
    true = np.einsum("nd,nkd->nk", QUERIES, VECTORS[nearest.rows])
    np.testing.assert_allclose(nearest.scores, true, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_come_back_as_they_went_in(part: Parts, kind: str) -> None:
    index = part(kind)
    rows = np.array([COUNT - 1, 0, 7, 7])
    assert index.keeps_vectors
    assert np.array_equal(index.reconstruct(rows), VECTORS[rows])


@pytest.mark.parametrize("kind", ["ivf-pq", "ivf-sq8", "graph of codes"])
def test_vectors_that_were_not_kept_do_not_come_back_though_searches_go_on(part: Parts, kind: str) -> None:
    index = part(kind, keep_vectors=False)
    assert not index.keeps_vectors
    with pytest.raises(StoreError, match=r"only approximately.*Build it with keep_vectors"):
        index.reconstruct(np.array([0]))
    assert overlap(index.search(QUERIES, 10).rows, nearest_rows(VECTORS, QUERIES, 10)) >= 0.5
    assert index.search(QUERIES, 5, rows=np.array([1, 2])).rows[:, :2].max() <= 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("candidates", [1, 3, 200, EXACT_CANDIDATES])
def test_few_candidates_are_compared_exactly(part: Parts, kind: str, candidates: int) -> None:
    rows = np.sort(np.random.default_rng(2).permutation(COUNT)[:candidates])
    nearest = part(kind).search(QUERIES, 10, rows=rows)
    wanted = nearest_rows(VECTORS, QUERIES, 10, rows)
    assert np.array_equal(nearest.rows[:, : wanted.shape[1]], wanted)
    assert (nearest.rows[:, candidates:] == -1).all()
    assert np.isneginf(nearest.scores[:, candidates:]).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("candidates", ["scattered", "on one side"])
def test_many_candidates_restrict_the_search_itself(part: Parts, kind: str, candidates: str) -> None:
    rows = np.arange(EXACT_CANDIDATES + 100) + 1500
    if candidates == "on one side":
        rows = np.sort(np.argsort(VECTORS[:, 0])[: EXACT_CANDIDATES + 100])
    nearest = part(kind).search(QUERIES, 10, rows=rows)
    assert np.isin(nearest.rows, rows).all()
    found = overlap(nearest.rows, nearest_rows(VECTORS, QUERIES, 10, rows))
    assert found == 1.0 if kind in EXACT else found >= 0.9


@pytest.mark.parametrize("kind", KINDS)
def test_deleted_rows_are_never_found(part: Parts, kind: str) -> None:
    deleted = np.unique(nearest_rows(VECTORS, QUERIES, 4))
    live = np.delete(np.arange(COUNT), deleted)
    index = part(kind, deleted=deleted)
    nearest = index.search(QUERIES, 10)
    assert not np.isin(nearest.rows, deleted).any()
    assert overlap(nearest.rows, nearest_rows(VECTORS, QUERIES, 10, live)) >= 0.85
    assert len(index) == COUNT
    assert np.array_equal(index.reconstruct(deleted[:2]), VECTORS[deleted[:2]])


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_for_more_than_there_is_gives_every_live_row_once(kind: str, tmp_path: Path) -> None:
    vectors = clustered_vectors(600)
    index = built(tmp_path, vectors, planned(kind, 600), deleted=np.arange(0, 600, 2))
    nearest = index.search(QUERIES[:2], 1000)
    assert nearest.rows.shape == nearest.scores.shape == (2, 1000)
    assert np.array_equal(np.sort(nearest.rows[:, :300]), np.broadcast_to(np.arange(1, 600, 2), (2, 300)))
    assert (nearest.rows[:, 300:] == -1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_found_where_nothing_is_allowed(part: Parts, kind: str) -> None:
    none = part(kind).search(QUERIES[:1], 3, rows=np.array([], np.int64))
    assert (none.rows == -1).all()
    assert np.isneginf(none.scores).all()


def test_a_graph_gives_all_candidates_where_its_walk_meets_too_few(part: Parts) -> None:
    far = np.sort(np.argsort(VECTORS @ QUERIES[0])[: EXACT_CANDIDATES + 10])
    nearest = part("hnsw").search(QUERIES[:1], len(far), rows=far)
    assert np.array_equal(np.sort(nearest.rows[0]), far)


def test_equal_vectors_come_in_the_order_of_their_rows(tmp_path: Path) -> None:
    index = built(tmp_path, np.ones((6, 4), np.float32), IndexPlan.flat(4))
    assert index.search(np.ones((1, 4), np.float32), 6).rows.tolist() == [[0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 3])
def test_the_same_blocks_give_the_same_bytes_with_any_number_of_threads(
    kind: str, threads: int, part: Parts, tmp_path: Path
) -> None:
    part(kind)
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        again = built(tmp_path, VECTORS, planned(kind, COUNT))
    finally:
        faiss.omp_set_num_threads(before)
    assert (tmp_path / "index.faiss").read_bytes() == part(kind).path.read_bytes()
    again.close()


def test_a_learned_rotation_is_the_same_each_time_too(tmp_path: Path) -> None:
    plan = IndexPlan.checked("ivf-pq", {"pq_m": 4, "ivf_nprobe": 8}, count=700, dimension=DIMENSION)
    for name in ("one", "two"):
        index = built(tmp_path / name, VECTORS[:700], plan)
    assert (tmp_path / "one/index.faiss").read_bytes() == (tmp_path / "two/index.faiss").read_bytes()
    assert overlap(index.search(QUERIES, 10).rows, nearest_rows(VECTORS[:700], QUERIES, 10)) >= 0.85


def test_training_takes_a_bounded_sample_that_is_the_same_each_time(tmp_path: Path) -> None:
    plan = replace(planned("ivf-flat", COUNT), training_vectors=300)
    for name in ("one", "two"):
        built(tmp_path / name, VECTORS, plan)
    built(tmp_path / "all", VECTORS, planned("ivf-flat", COUNT))
    one, two, other = ((tmp_path / name / "index.faiss").read_bytes() for name in ("one", "two", "all"))
    assert one == two != other


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_mapped_and_not_read(kind: str, tmp_path: Path) -> None:
    count = 12_000
    plan = planned(kind, count)
    if "hnsw_ef_construction" in plan.index_parameters:
        plan = with_numbers(plan, hnsw_ef_construction=8)
    wide = np.tile(clustered_vectors(count), (1, 4))
    built(tmp_path, wide, replace(plan, dimension=wide.shape[1])).close()
    size = (tmp_path / "index.faiss").stat().st_size
    before = _own_memory()
    index = built(tmp_path, wide, replace(plan, dimension=wide.shape[1]))
    assert _own_memory() - before < max(size / 4, 400_000)
    index.close()


def test_many_threads_may_search_and_read_at_once(part: Parts) -> None:
    index = part("ivf-flat", deleted=np.array([5]))
    wanted = index.search(QUERIES, 5).rows

    def ask(number: int) -> bool:
        return np.array_equal(index.search(QUERIES, 5).rows, wanted) and np.array_equal(
            index.reconstruct(np.array([number])), VECTORS[[number]]
        )

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(40)))


@pytest.mark.parametrize(
    ("queries", "top_k", "rows", "message"),
    [
        (np.zeros((1, 16), np.float32), 0, None, "top_k is 0. Ask for at least one passage"),
        (np.zeros((1, 15), np.float32), 1, None, r"queries have the shape \[1, 15\], the index wants \[n, 16\]"),
        (np.zeros(16, np.float32), 1, None, r"queries have the shape \[16\]"),
        (np.full((1, 16), np.nan, np.float32), 1, None, "a query holds NaN or infinity"),
        (np.zeros((1, 16), np.float32), 1, np.array([3, COUNT]), f"row {COUNT} is not one of the {COUNT} rows"),
        (np.zeros((1, 16), np.float32), 1, np.array([-1, 3]), "row -1 is not one of the"),
    ],
)
def test_a_wrong_search_is_refused(
    part: Parts, queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64] | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        part("flat").search(queries, top_k, rows=rows)


@pytest.mark.parametrize("kind", ["flat", "hnsw", "ivf-sq8", "lists behind a rotation"])
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_index_is_refused(part: Parts, kind: str, kept: float, tmp_path: Path) -> None:
    data = part(kind).path.read_bytes()
    (tmp_path / "index.faiss").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(StoreError, match=r"index.faiss: cannot be read as a faiss index.*Build the index again"):
        VectorIndex(tmp_path / "index.faiss", planned(kind, COUNT))


def test_kept_vectors_of_another_index_are_refused(part: Parts, tmp_path: Path) -> None:
    path = part("ivf-sq8").path
    np.save(tmp_path / "vectors.npy", VECTORS[:-1])
    with pytest.raises(StoreError, match=r"vectors.npy: holds float32 \[5999, 16\], its index float32 \[6000, 16\]"):
        VectorIndex(path, planned("ivf-sq8", COUNT), exact=tmp_path / "vectors.npy")
    (tmp_path / "vectors.npy").write_bytes(b"no vectors")
    with pytest.raises(StoreError, match=r"vectors.npy: cannot be read as vectors"):
        VectorIndex(path, planned("ivf-sq8", COUNT), exact=tmp_path / "vectors.npy")


def test_a_full_disk_is_an_error_of_the_operating_system() -> None:
    with pytest.raises(OSError, match="No space left") as caught:
        write_vectors(Path("/dev/full"), in_blocks(VECTORS), IndexPlan.flat(DIMENSION))
    assert caught.value.errno == errno.ENOSPC


@pytest.mark.skipif(index_gpu.available(), reason="there is a GPU")
@pytest.mark.parametrize("kind", ["hnsw", "ivf-sq8"])
def test_the_cpu_builds_where_a_gpu_is_wanted_but_there_is_none(part: Parts, kind: str, tmp_path: Path) -> None:
    built(tmp_path, VECTORS, replace(planned(kind, COUNT), on_gpu=True))
    assert (tmp_path / "index.faiss").read_bytes() == part(kind).path.read_bytes()


def test_no_vectors_or_those_of_another_dimension_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no vector to index"):
        write_vectors(tmp_path / "x", [], IndexPlan.flat(4))
    with pytest.raises(InputError, match="a block has 16 dimensions, the index is planned for 4"):
        write_vectors(tmp_path / "x", in_blocks(VECTORS), IndexPlan.flat(4))


def _own_memory() -> int:
    """Bytes that are the process's own, not pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))
