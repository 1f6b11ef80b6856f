"""Upserts and deletions: what the next version answers, what it shares with the one before, and what is refused."""

import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage
from semiparametric.store import Extension, Store, current_version, versions
from semiparametric.store.layout import version_folder
from tests.semiparametric.stores import build, extend, passages, random_vectors, record

SCRIPT = Path(__file__).with_name("killed_extension.py")
ROOT = Path(__file__).parents[2]


def names(index: Path, version: int) -> list[str]:
    return sorted(path.name for path in version_folder(index, version).iterdir())


def inode(index: Path, version: int, name: str) -> int:
    return (version_folder(index, version) / name).stat().st_ino


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_added_passages_are_found_and_replaced_ones_are_not(tmp_path: Path, kind: str) -> None:
    vectors, new = random_vectors(50), random_vectors(2, seed=1)
    build(tmp_path, passages(50), vectors, kind)
    added = [Passage(id="p7", text="Other words."), Passage(id="new", text="Words.", metadata={"colour": "red"})]
    manifest = extend(tmp_path, added, new)
    assert (manifest.version, manifest.base, manifest.corpus.count, manifest.deleted) == (2, 1, 51, 1)
    with Store.open(tmp_path) as store:
        assert len(store) == 51
        assert [store.passage(store.search(new[n : n + 1], 1)[0][0].row) for n in (0, 1)] == added
        assert [store.row_of("p7"), store.row_of("new")] == [50, 51]
        assert store.passage(7).text == "Text 7."
        assert store.rows_matching({"colour": "red"}).tolist() == [51]
        assert 7 not in [hit.row for hit in store.search(vectors[7:8], 51)[0]]
        assert len(store.search(vectors[7:8], 1000)[0]) == 51


def test_a_deleted_passage_is_found_by_nothing_and_read_by_its_row(tmp_path: Path) -> None:
    vectors = random_vectors(20)
    build(tmp_path, passages(20), vectors)
    manifest = extend(tmp_path, deleted=["p3", "p19"])
    assert (manifest.corpus.count, manifest.deleted) == (18, 2)
    with Store.open(tmp_path) as store:
        assert {hit.row for hit in store.search(vectors[3:4], 20)[0]} == {*range(20)} - {3, 19}
        assert [hit.row for hit in store.search(vectors[3:4], 2, rows=np.array([19, 3, 4]))[0]] == [4]
        assert store.search(vectors[3:4], 2, rows=np.array([3, 19])) == [[]]
        assert store.rows_matching({"even": False}).tolist() == [1, 5, 7, 9, 11, 13, 15, 17]
        assert store.rows_matching({}).tolist() == store.live_rows().tolist() == [*range(3), *range(4, 19)]
        assert store.row_of("p3") is None
        assert store.rows_among(["p3", "p4", "nobody"]).tolist() == [4]
        with pytest.raises(InputError, match="has no passage 'p3'"):
            store.rows_of(["p4", "p3"])
        assert store.passage(3).id == "p3"
        assert [each.live for each in store.passages(2, 5)] == [True, False, True]
        assert [each.passage.id for each in store.passages(17, 30)] == ["p17", "p18", "p19"]


def test_an_extension_shares_the_files_of_its_build(tmp_path: Path) -> None:
    build(tmp_path, passages(20), random_vectors(20))
    extend(tmp_path, [Passage(id="new", text="x")], random_vectors(1, seed=1), deleted=["p0"])
    extend(tmp_path, deleted=["p1"])
    common = ["SHA256SUMS", "deleted.npy", "index-delta.faiss", "index.faiss"]
    assert names(tmp_path, 3) == [*common, "manifest.json", "passages-1.arrow", "passages.arrow"]
    for name in ("index.faiss", "passages.arrow"):
        assert inode(tmp_path, 1, name) == inode(tmp_path, 3, name)
    for name in ("index-delta.faiss", "passages-1.arrow"):
        assert inode(tmp_path, 2, name) == inode(tmp_path, 3, name)
    for version in (1, 2, 3):
        Store.open(tmp_path, version=version, check=True).close()


def test_there_is_one_delta_whatever_is_added_and_none_once_it_is_empty(tmp_path: Path) -> None:
    build(tmp_path, passages(10), random_vectors(10))
    extend(tmp_path, [Passage(id="a", text="a"), Passage(id="b", text="b")], random_vectors(2, seed=1))
    extend(tmp_path, [Passage(id="a", text="again"), Passage(id="c", text="c")], random_vectors(2, seed=2))
    with Store.open(tmp_path) as store:
        assert [store.passage(row).text for row in range(10, 13)] == ["b", "again", "c"]
        assert np.array_equal(
            store.vectors(np.arange(10, 13)), [random_vectors(2, seed=1)[1], *random_vectors(2, seed=2)]
        )
    assert extend(tmp_path, deleted=["a", "b", "c"]).deleted == 0
    assert names(tmp_path, 4) == ["SHA256SUMS", "index.faiss", "manifest.json", "passages.arrow"]


def test_equal_changes_give_equal_digests_and_others_others(tmp_path: Path) -> None:
    digests = []
    for number, deleted in enumerate((["p1"], ["p1"], ["p2"])):
        index = tmp_path / str(number)
        build(index, passages(10), random_vectors(10))
        digests.append(extend(index, deleted=deleted).corpus.digest)
    assert digests[0] == digests[1] != digests[2]


def test_a_changed_search_setting_is_published_without_new_vectors(tmp_path: Path) -> None:
    built = build(tmp_path, passages(10), random_vectors(10), "hnsw")
    changed = built.index.model_copy(update={"index_parameters": built.index.index_parameters | {"hnsw_ef_search": 7}})
    with Extension(tmp_path) as extension:
        extension.publish(added=[], vectors=random_vectors(0), deleted_ids=[], build=record(), index=changed)
    with Store.open(tmp_path) as store:
        assert store.manifest.index == changed
    assert inode(tmp_path, 1, "index.faiss") == inode(tmp_path, 2, "index.faiss")


@pytest.mark.parametrize(
    ("added", "count", "deleted", "message"),
    [
        (["a", "b", "a"], 3, [], "the id 'a' stands 2 times in one batch"),
        (["a"], 1, ["p1", "a"], "the id 'a' stands 2 times in one batch"),
        ([], 0, ["p1", "p1"], "the id 'p1' stands 2 times in one batch"),
        ([], 0, ["p1", "nobody"], "the index has no passage 'nobody'"),
        (
            [],
            0,
            [f"p{n}" for n in range(5)],
            r"delete all 5 passages of the index 'tests'. An index keeps",
        ),
        (["a"], 2, [], r"have the shape \[2, 16\], not \[1, 16\]"),
    ],
)
def test_a_wrong_batch_is_refused_and_nothing_changes(
    tmp_path: Path, added: list[str], count: int, deleted: list[str], message: str
) -> None:
    build(tmp_path, passages(5), random_vectors(5))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=message):
        extend(tmp_path, [Passage(id=name, text="x") for name in added], random_vectors(count), deleted)
    assert sorted(tmp_path.rglob("*")) == before


def test_vectors_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    build(tmp_path, passages(5), random_vectors(5))
    with pytest.raises(InputError, match="a vector to add holds NaN or infinity"):
        extend(tmp_path, [Passage(id="a", text="x")], np.full((1, 16), np.inf, np.float32))


def test_nothing_to_extend_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no index is published here"):
        Extension(tmp_path)


def test_every_passage_may_be_replaced_at_once(tmp_path: Path) -> None:
    build(tmp_path, passages(5), random_vectors(5))
    extend(tmp_path, [Passage(id=f"p{n}", text="new") for n in range(5)], random_vectors(5, seed=1))
    with Store.open(tmp_path) as store:
        assert sorted(hit.row for hit in store.search(random_vectors(1), 9)[0]) == [5, 6, 7, 8, 9]


def test_files_are_copied_and_verified_where_they_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    build(tmp_path, passages(5), random_vectors(5))
    monkeypatch.setattr(os, "link", refuse)
    extend(tmp_path, deleted=["p1"])
    assert inode(tmp_path, 1, "index.faiss") != inode(tmp_path, 2, "index.faiss")
    Store.open(tmp_path, check=True).close()
    (version_folder(tmp_path, 2) / "index.faiss").write_bytes(b"rot")
    with pytest.raises(StoreError, match="damaged: its checksum is"):
        extend(tmp_path, deleted=["p2"])
    assert current_version(tmp_path) == 2


def test_damage_in_a_shared_file_is_still_found_in_the_extension(tmp_path: Path) -> None:
    build(tmp_path, passages(50), random_vectors(50))
    extend(tmp_path, deleted=["p1"])
    path = version_folder(tmp_path, 2) / "index.faiss"
    data = bytearray(path.read_bytes())
    data[-1] ^= 4
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"index\.faiss: damaged"):
        Store.open(tmp_path)


def test_an_extension_follows_what_is_served_after_a_rollback(tmp_path: Path) -> None:
    build(tmp_path, passages(5), random_vectors(5))
    extend(tmp_path, deleted=["p1"])
    (tmp_path / "CURRENT").write_text("1\n")
    manifest = extend(tmp_path, deleted=["p2"])
    assert (manifest.version, manifest.base, manifest.corpus.count) == (3, 1, 4)


def test_a_killed_build_goes_on_after_an_extension(tmp_path: Path) -> None:
    build(tmp_path, passages(5), random_vectors(5))
    (tmp_path / "versions/2.partial").mkdir()
    (tmp_path / "versions/2.partial/shards").write_text("an hour of work")
    assert extend(tmp_path, deleted=["p1"]).version == 2
    build(tmp_path, passages(5), random_vectors(5))
    assert (current_version(tmp_path), versions(tmp_path)) == (3, [1, 2, 3])
    assert names(tmp_path, 3) == names(tmp_path, 1)
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["1", "2", "3"]


Held = dict[str, NDArray[np.float32]]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_row_of_changes_answers_as_one_build_of_what_is_left(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    index = tmp_path_factory.mktemp("index")
    vectors = random_vectors(12, 4)
    held = {f"p{n}": vectors[n] for n in range(12)}
    build(index, passages(12), vectors)
    for step in range(data.draw(st.integers(1, 4))):
        ids = st.sampled_from([*sorted(held), "new1", "new2", "new3"])
        added = data.draw(st.lists(ids, unique=True, max_size=4))
        removable = sorted({*held} - {*added})
        deleted = (
            data.draw(st.lists(st.sampled_from(removable), unique=True, max_size=len(held) - 1)) if removable else []
        )
        fresh = random_vectors(len(added), 4, seed=step + 1)
        extend(index, [Passage(id=name, text=f"step {step}") for name in added], fresh, deleted)
        held = {name: vector for name, vector in held.items() if name not in deleted}
        held |= dict(zip(added, fresh, strict=True))
        _compare(index, held)


def _compare(index: Path, held: Mapping[str, NDArray[np.float32]]) -> None:
    query = random_vectors(1, 4, seed=99)
    with Store.open(index) as store:
        hits = store.search(query, len(held) + 3)[0]
        found = {store.passage(hit.row).id: hit.score for hit in hits}
        assert len(store) == len(hits) == len(held)
        assert found == {name: pytest.approx(float(query[0] @ vector), abs=1e-5) for name, vector in held.items()}
        rows = store.rows_of(sorted(held))
        assert rows.tolist() == store.live_rows().tolist()
        kept = store.vectors(rows)
        assert all(np.array_equal(kept[n], held[store.passage(row).id]) for n, row in enumerate(rows.tolist()))


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(300)
def test_an_extension_killed_at_any_file_operation_leaves_the_served_version_and_the_next_run_works(
    tmp_path: Path,
) -> None:
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stderr
    *kills, undisturbed = [json.loads(line) for line in run.stdout.splitlines()]
    assert undisturbed["ended"]
    assert len(kills) > 20
    before = kills[0]["killed"]
    for kill in kills:
        assert kill["killed"] in (before, undisturbed["killed"])
        assert kill["resumed"] == undisturbed["killed"]
        assert kill["left"] == []
    assert sum(kill["killed"] != before for kill in kills) <= 3
