"""The store from the reader's side: lookups, filters, round trips, and what it refuses to open."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage, Scalar
from semiparametric.store import Store, current_version, versions
from semiparametric.store.layout import version_folder
from semiparametric.store.vectors import EXACT_CANDIDATES
from tests.semiparametric.stores import PAIR, build, passages, random_vectors

KINDS = ("flat", "hnsw")  # of the others, see test_index_types.py and test_vectors.py


@pytest.mark.parametrize("kind", KINDS)
def test_lookups_find_what_a_full_sort_finds(tmp_path: Path, kind: str) -> None:
    vectors = random_vectors(500)
    build(tmp_path, passages(500), vectors, kind)
    queries = random_vectors(30, seed=1)
    with Store.open(tmp_path, fingerprint=PAIR) as store:
        found = store.search(queries, 7)
    oracle = np.argsort(-(queries @ vectors.T), axis=1)[:, :7]
    same = [[hit.row for hit in hits] == row.tolist() for hits, row in zip(found, oracle, strict=True)]
    assert np.mean(same) >= (1.0 if kind == "flat" else 0.9)
    first = found[0][0]
    assert first.score == pytest.approx(float(queries[0] @ vectors[first.row]), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("candidates", [1, 3, 200, EXACT_CANDIDATES + 400])
def test_a_lookup_among_candidates_finds_the_best_of_them(tmp_path: Path, kind: str, candidates: int) -> None:
    count = EXACT_CANDIDATES + 900
    vectors = random_vectors(count)
    build(tmp_path, passages(count), vectors, kind)
    rows = np.random.default_rng(2).permutation(count)[:candidates]
    queries = random_vectors(5, seed=3)
    with Store.open(tmp_path, check=False) as store:
        found = store.search(queries, 10, rows=rows)
    for query, hits in zip(queries, found, strict=True):
        oracle = rows[np.argsort(-(vectors[rows] @ query))][:10]
        assert len(hits) == min(10, candidates)
        overlap = len({hit.row for hit in hits} & set(oracle.tolist())) / len(hits)
        assert overlap == 1.0 if kind == "flat" or candidates <= EXACT_CANDIDATES else overlap >= 0.8
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_graph_gives_all_candidates_where_its_walk_meets_too_few(tmp_path: Path) -> None:
    count = EXACT_CANDIDATES + 900
    vectors = random_vectors(count)
    build(tmp_path, passages(count), vectors, "hnsw")
    rows = np.arange(EXACT_CANDIDATES + 1)
    with Store.open(tmp_path, check=False) as store:
        hits = store.search(vectors[:1], len(rows), rows=rows)[0]
    assert sorted(hit.row for hit in hits) == rows.tolist()
    assert hits[0].row == 0


@pytest.mark.parametrize("kind", KINDS)
def test_top_k_above_the_count_gives_every_passage_once(tmp_path: Path, kind: str) -> None:
    build(tmp_path, passages(40), random_vectors(40), kind)
    with Store.open(tmp_path) as store:
        hits = store.search(random_vectors(1, seed=5), 1_000_000)[0]
        assert store.search(random_vectors(1), 3, rows=np.array([], np.int64)) == [[]]
    assert sorted(hit.row for hit in hits) == list(range(40))


def test_equal_vectors_come_in_the_order_of_their_rows(tmp_path: Path) -> None:
    build(tmp_path, passages(6), np.ones((6, 4), np.float32))
    with Store.open(tmp_path) as store:
        assert [hit.row for hit in store.search(np.ones((1, 4), np.float32), 6)[0]] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("queries", "top_k", "rows", "message"),
    [
        (np.zeros((1, 16), np.float32), 0, None, "top_k is 0. Ask for at least one passage"),
        (np.zeros((1, 15), np.float32), 1, None, r"queries have the shape \[1, 15\], the index wants \[n, 16\]"),
        (np.zeros(16, np.float32), 1, None, r"queries have the shape \[16\]"),
        (np.full((1, 16), np.nan, np.float32), 1, None, "a query holds NaN or infinity"),
        (np.zeros((1, 16), np.float32), 1, np.array([3, 20]), "row 20 is not one of the 20 rows"),
        (np.zeros((1, 16), np.float32), 1, np.array([-1, 3]), "row -1 is not one of the 20 rows"),
    ],
)
def test_a_wrong_lookup_is_refused(
    tmp_path: Path, queries: NDArray[np.float32], top_k: int, rows: NDArray[np.int64] | None, message: str
) -> None:
    build(tmp_path, passages(20), random_vectors(20))
    with Store.open(tmp_path) as store, pytest.raises(InputError, match=message):
        store.search(queries, top_k, rows=rows)


def test_passages_come_back_exactly_as_they_went_in(tmp_path: Path) -> None:
    metadata: dict[str, Scalar] = {
        "s": "“naïve” 灯台 \u0000",
        "i": 2**70,
        "neg": -3,
        "f": 0.1,
        "e": 1e300,
        "one": 1.0,
        "t": True,
    }
    entries = [
        Passage(
            id="日本/灯台#1",
            title="灯台 🗼",
            text="é\u0301 \u202e right to left עברית\n\ttab",
            source="путь/файл.md",
            metadata=metadata,
        ),
        Passage(id="empty", text="x", metadata={"": "empty name", "other": False}),
        *passages(9000),
    ]
    build(tmp_path, entries, random_vectors(len(entries), 4))
    with Store.open(tmp_path) as store:
        assert len(store) == len(entries)
        for row in (0, 1, 2, 4095, 4096, 9001):
            assert store.passage(row) == entries[row]
        kept = store.passage(0).metadata
        assert {field: type(value) for field, value in kept.items()} == {
            field: type(v) for field, v in metadata.items()
        }
        with pytest.raises(IndexError, match="row 9002 of 9002"):
            store.passage(9002)
        with pytest.raises(IndexError, match="row -1"):
            store.passage(-1)


def test_rows_are_found_by_passage_id(tmp_path: Path) -> None:
    build(tmp_path, passages(5000), random_vectors(5000, 4))
    with Store.open(tmp_path) as store:
        assert store.row_of("p4321") == 4321
        assert store.row_of("p5000") is None
        assert store.rows_of(["p7", "p4999", "p7", "p0"]).tolist() == [0, 7, 4999]
        with pytest.raises(InputError, match="the index has no passage 'nobody'"):
            store.rows_of(["p7", "nobody"])


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"lang": "de"}, [0, 2]),
        ({"year": 2020}, [0, 1]),
        ({"year": 2020.0}, [0, 1]),
        ({"year": "2020"}, [3]),
        ({"flag": True}, [4]),
        ({"flag": 1}, [5]),
        ({"flag": 1.0}, [5]),
        ({"lang": "de", "year": 2020}, [0]),
        ({"lang": "fr"}, []),
        ({"zero": 0}, [2, 3]),
    ],
)
def test_a_filter_is_exact_equality_on_every_field(
    tmp_path: Path, filter_: Mapping[str, Scalar], expected: list[int]
) -> None:
    rows: list[dict[str, Scalar]] = [
        {"lang": "de", "year": 2020},
        {"lang": "en", "year": 2020.0},
        {"lang": "de", "year": 2021, "zero": -0.0},
        {"year": "2020", "zero": 0},
        {"flag": True},
        {"flag": 1},
    ]
    entries = [Passage(id=str(n), text="x", metadata=metadata) for n, metadata in enumerate(rows)]
    build(tmp_path, entries, random_vectors(6, 4))
    with Store.open(tmp_path) as store:
        assert store.rows_matching(filter_).tolist() == expected


def test_an_unknown_filter_field_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    build(tmp_path, passages(3), random_vectors(3))
    with (
        Store.open(tmp_path) as store,
        pytest.raises(InputError, match=r"no metadata field 'colour'. Its fields are even, number"),
    ):
        store.rows_matching({"colour": "red"})
    build(tmp_path, [Passage(id="1", text="x")], random_vectors(1))
    with Store.open(tmp_path) as store, pytest.raises(InputError, match=r"'colour'. Its passages have no metadata"):
        store.rows_matching({"colour": "red"})


def test_many_threads_get_the_answers_that_one_gets(tmp_path: Path) -> None:
    build(tmp_path, passages(2000), random_vectors(2000), "hnsw")
    queries = random_vectors(64, seed=9)
    rows = np.arange(0, 2000, 3)
    with Store.open(tmp_path) as store:

        def look_up(number: int) -> list[tuple[str, float]]:
            query = queries[number : number + 1]
            hits = store.search(query, 5)[0] + store.search(query, 5, rows=rows)[0]
            return [(store.passage(hit.row).id, hit.score) for hit in hits]

        alone = [look_up(number) for number in range(64)]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(look_up, range(64))) == alone


def test_vectors_and_passages_are_mapped_not_read(tmp_path: Path) -> None:
    for kind in KINDS:
        build(tmp_path, passages(100), random_vectors(100), kind)
        with Store.open(tmp_path) as store:
            maps = Path("/proc/self/maps").read_text()
            folder = version_folder(tmp_path, store.version)
            assert str(folder / "index.faiss") in maps
            assert str(folder / "passages.arrow") in maps


def test_a_folder_without_an_index_is_refused_with_the_command_that_builds_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no index is published here. Build one with `cosup index build"):
        Store.open(tmp_path / "nothing")


def test_another_pairs_store_is_refused_naming_both(tmp_path: Path) -> None:
    build(tmp_path, passages(3), random_vectors(3))
    with pytest.raises(StoreError, match=r"made by the pair 'pair-a', this pair is 'pair-b'.*build the index again"):
        Store.open(tmp_path, fingerprint="pair-b")


def test_a_wrong_current_or_version_is_refused(tmp_path: Path) -> None:
    build(tmp_path, passages(3), random_vectors(3))
    with pytest.raises(StoreError, match=r"there is no version 7. It holds \[1\]"):
        Store.open(tmp_path, version=7)
    (tmp_path / "CURRENT").write_text("2\n")
    with pytest.raises(StoreError, match=r"CURRENT names version 2, but the folder holds \[1\]"):
        Store.open(tmp_path)
    (tmp_path / "CURRENT").write_text("latest")
    with pytest.raises(StoreError, match="CURRENT holds 'latest', not the number of a version"):
        Store.open(tmp_path)
    assert Store.open(tmp_path, version=1).version == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_index_is_refused_even_unchecked(tmp_path: Path, kind: str, kept: float) -> None:
    build(tmp_path, passages(200), random_vectors(200), kind)
    path = version_folder(tmp_path, 1) / "index.faiss"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(StoreError, match=r"index.faiss: damaged: its checksum is"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match=r"index.faiss: cannot be read as a faiss index.*Build the index again"):
        Store.open(tmp_path, check=False)


def test_truncated_passages_and_missing_files_are_refused_even_unchecked(tmp_path: Path) -> None:
    build(tmp_path, passages(200), random_vectors(200))
    folder = version_folder(tmp_path, 1)
    data = (folder / "passages.arrow").read_bytes()
    for kept in (0, 5, len(data) // 2, len(data) - 1):
        (folder / "passages.arrow").write_bytes(data[:kept])
        with pytest.raises(StoreError, match=r"passages.arrow: cannot be read as Arrow"):
            Store.open(tmp_path, check=False)
    for name in ("passages.arrow", "index.faiss", "manifest.json"):
        (folder / name).unlink()
        with pytest.raises(StoreError, match=name):
            Store.open(tmp_path, check=False)


def test_files_of_two_versions_mixed_are_refused_even_unchecked(tmp_path: Path) -> None:
    build(tmp_path, passages(20), random_vectors(20))
    build(tmp_path, passages(21), random_vectors(21))
    (version_folder(tmp_path, 1) / "index.faiss").replace(version_folder(tmp_path, 2) / "index.faiss")
    with pytest.raises(StoreError, match="it has 20 vectors, its manifest says 21"):
        Store.open(tmp_path, check=False)


def test_a_manifest_of_another_format_is_refused_by_field(tmp_path: Path) -> None:
    build(tmp_path, passages(20), random_vectors(20))
    path = version_folder(tmp_path, 1) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 3}))
    with pytest.raises(StoreError, match=r"manifest.json, field format_version: Input should be 1 or 2"):
        Store.open(tmp_path, check=False)


def test_an_open_store_survives_the_publication_of_the_next(tmp_path: Path) -> None:
    build(tmp_path, passages(20), random_vectors(20))
    with Store.open(tmp_path) as old:
        build(tmp_path, passages(30), random_vectors(30, seed=1))
        assert (len(old), old.version) == (20, 1)
        assert old.search(random_vectors(20)[:1], 1)[0][0].row == 0
    assert (current_version(tmp_path), versions(tmp_path)) == (2, [1, 2])
    assert len(Store.open(tmp_path, version=1)) == 20
