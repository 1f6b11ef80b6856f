"""A store of several parts: shards answer as one index does, vectors are kept, and all is mapped."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage
from semiparametric.store import Hit, Store
from semiparametric.store.layout import version_folder
from semiparametric.store.part_writing import Stretch
from tests.semiparametric.stores import build, extend, passages, random_vectors


def rows_and_scores(found: list[list[Hit]]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    rows = np.array([[hit.row for hit in hits] for hits in found], np.int64)
    return rows, np.array([[hit.score for hit in hits] for hits in found], np.float32)


@pytest.mark.parametrize(("kind", "shards"), [("flat", 2), ("flat", 7), ("hnsw", 3)])
def test_shards_find_what_one_index_finds(tmp_path: Path, kind: str, shards: int) -> None:
    vectors, queries = random_vectors(600), random_vectors(20, seed=1)
    candidates = np.random.default_rng(2).permutation(600)[:250]
    build(tmp_path / "one", passages(600), vectors)
    manifest = build(tmp_path / "many", passages(600), vectors, kind, shards=shards)
    assert [part.file for part in manifest.parts] == [f"index-{n}.faiss" for n in range(shards)]
    assert sum(part.count for part in manifest.parts) == 600
    with Store.open(tmp_path / "one") as one, Store.open(tmp_path / "many") as many:
        for rows in (None, candidates, candidates[:1], np.array([], np.int64)):
            for top_k in (1, 10, 600):
                expected = rows_and_scores(one.search(queries, top_k, rows=rows))
                found = rows_and_scores(many.search(queries, top_k, rows=rows))
                different = np.count_nonzero(expected[0] != found[0])
                assert different <= (0 if kind == "flat" else 0.05 * found[0].size)
                assert np.allclose(expected[1], found[1], atol=1e-6 if kind == "flat" else 0.1)


def test_equal_vectors_in_several_shards_come_in_the_order_of_their_rows(tmp_path: Path) -> None:
    build(tmp_path, passages(9), np.ones((9, 4), np.float32), shards=3)
    extend(tmp_path, [Passage(id="new", text="x")], np.ones((1, 4), np.float32), ["p4"])
    with Store.open(tmp_path) as store:
        assert [hit.row for hit in store.search(np.ones((1, 4), np.float32), 8)[0]] == [0, 1, 2, 3, 5, 6, 7, 8]


def test_shards_are_extended_like_one_index(tmp_path: Path) -> None:
    vectors = random_vectors(40)
    build(tmp_path, passages(40), vectors, shards=4)
    gone = [f"p{n}" for n in range(10, 20)]  # a whole shard
    extend(tmp_path, [Passage(id="new", text="x")], random_vectors(1, seed=1), gone)
    with Store.open(tmp_path) as store:
        hits = store.search(vectors[12:13], 99)[0]
        assert sorted(hit.row for hit in hits) == [*range(10), *range(20, 41)]
        assert len(store.parts) == 5
        rows = np.array([40, 12, 0, 39])
        assert np.array_equal(store.vectors(rows), [random_vectors(1, seed=1)[0], vectors[12], vectors[0], vectors[39]])
        with pytest.raises(InputError, match="row 41 is not one of the 41 rows"):
            store.vectors(np.array([41]))


def test_many_threads_search_shards_at_once(tmp_path: Path) -> None:
    build(tmp_path, passages(300), random_vectors(300), shards=3)
    queries = random_vectors(64, seed=9)
    with Store.open(tmp_path) as store:
        alone = [store.search(queries[n : n + 1], 5) for n in range(64)]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda n: store.search(queries[n : n + 1], 5), range(64))) == alone
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("shard")]


def test_equal_vectors_give_equal_bytes_in_shards_too(tmp_path: Path) -> None:
    for name in ("a", "b"):
        build(tmp_path / name, passages(200), random_vectors(200), "hnsw", shards=3)
    for number in range(3):
        one, other = (version_folder(tmp_path / name, 1) / f"index-{number}.faiss" for name in ("a", "b"))
        assert one.read_bytes() == other.read_bytes()


def test_more_shards_than_vectors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 vectors cannot be cut into 4 shards"):
        build(tmp_path, passages(3), random_vectors(3), shards=4)


@pytest.mark.parametrize("shards", [1, 2])
def test_vectors_are_kept_beside_parts_that_lose_some_of_them(tmp_path: Path, shards: int) -> None:
    vectors = random_vectors(600)
    manifest = build(tmp_path, passages(600), vectors, "ivf-sq8", shards=shards)
    names = ["vectors.npy"] if shards == 1 else ["vectors-0.npy", "vectors-1.npy"]
    assert [part.exact for part in manifest.parts] == names
    with Store.open(tmp_path) as store:
        assert store.keeps_vectors
        assert np.array_equal(store.vectors(np.arange(600)), vectors)
        hits = store.search(vectors[7:8], 3, rows=np.arange(100))[0]
        assert hits[0].row == 7
        assert hits[0].score == pytest.approx(1, abs=1e-6)
    extend(tmp_path, deleted=["p5"])
    with Store.open(tmp_path, check=True) as store:
        assert store.vectors(np.array([5, 4])).tolist() == vectors[[5, 4]].tolist()


def test_vectors_that_were_not_kept_are_not_given(tmp_path: Path) -> None:
    manifest = build(tmp_path, passages(600), random_vectors(600), "ivf-sq8", keep_vectors=False)
    assert [part.exact for part in manifest.parts] == [None]
    with Store.open(tmp_path) as store:
        assert not store.keeps_vectors
        with pytest.raises(StoreError, match="were not kept"):
            store.vectors(np.array([1]))
    extend(tmp_path, [Passage(id="new", text="x")], random_vectors(1, seed=1))
    extend(tmp_path, [Passage(id="more", text="x")], random_vectors(1, seed=2))
    with Store.open(tmp_path) as store:
        assert store.passage(store.search(random_vectors(1, seed=1), 1)[0][0].row).id == "new"


def test_a_stretch_of_blocks_holds_its_rows_and_no_others() -> None:
    vectors = random_vectors(20, 3)
    blocks = [vectors[:4], vectors[4:5], vectors[5:5], vectors[5:17], vectors[17:]]
    for start in range(20):
        for stop in range(start + 1, 21):
            stretch = Stretch(blocks, range(start, stop))
            assert np.array_equal(np.concatenate(list(stretch)), vectors[start:stop])
            assert len(stretch) == sum(map(len, stretch)) == stop - start


@pytest.mark.slow
def test_a_store_larger_than_the_memory_that_it_may_take_is_served(tmp_path: Path) -> None:
    """Of 40 MB of vectors and 4 MB of passages, little comes into memory that is the process's own."""
    count, dimension = 20_000, 512
    vectors = random_vectors(count, dimension)
    entries = (Passage(id=f"p{n}", text="A text. " * 20, metadata={"n": n % 7}) for n in range(count))
    build(tmp_path, list(entries), vectors, shards=2)
    query = vectors[17_777:17_778].copy()
    del vectors
    before = _own_memory()
    with Store.open(tmp_path, check=False) as store:
        assert store.passage(store.search(query, 1)[0][0].row).id == "p17777"
        assert store.rows_of(["p19999"]).tolist() == [19_999]
        assert len(store.rows_matching({"n": 3})) == sum(n % 7 == 3 for n in range(count))
        assert _own_memory() - before < 12 << 20


def _own_memory() -> int:
    """Bytes in memory that are no mapped file's."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) << 10
