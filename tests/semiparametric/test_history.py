"""The versions of an index: listing them, going back, removing old ones, and hundreds of them in a row."""

from pathlib import Path

import pytest

from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage
from semiparametric.store import Store, collect_garbage, current_version, list_versions, roll_back, versions
from semiparametric.store.layout import version_folder
from tests.semiparametric.stores import build, extend, passages, random_vectors


def three_builds(index: Path) -> None:
    for count in (5, 6, 7):
        build(index, passages(count), random_vectors(count))


def on_disk(index: Path) -> int:
    """Bytes below the index's folder, each file once."""
    files = {status.st_ino: status.st_size for status in (path.lstat() for path in index.rglob("*") if path.is_file())}
    return sum(files.values())


def test_versions_are_listed_with_what_they_hold_and_cost(tmp_path: Path) -> None:
    build(tmp_path, passages(50), random_vectors(50))
    extend(tmp_path, [Passage(id="new", text="x")], random_vectors(1, seed=1), ["p3", "p4"])
    one, two = list_versions(tmp_path)
    assert (one.version, one.served, one.count, one.deleted, one.base) == (1, False, 50, 0, None)
    assert (two.version, two.served, two.count, two.deleted, two.base) == (2, True, 49, 2, 1)
    assert two.created is not None
    assert one.index_type == two.index_type == "flat"
    whole = sum(path.stat().st_size for path in version_folder(tmp_path, 2).iterdir())
    shared = sum((version_folder(tmp_path, 1) / name).stat().st_size for name in ("index.faiss", "passages.arrow"))
    assert (two.size, two.own) == (whole, whole - shared)


def test_a_version_whose_manifest_is_damaged_is_listed_with_its_problem(tmp_path: Path) -> None:
    three_builds(tmp_path)
    (version_folder(tmp_path, 2) / "manifest.json").write_text("{")
    listed = list_versions(tmp_path)
    assert [one.count for one in listed] == [5, None, 7]
    assert "manifest.json" in str(listed[1].problem)
    with pytest.raises(StoreError, match="no index is published here"):
        list_versions(tmp_path / "nothing")


def test_going_back_serves_the_version_before_and_each_named_one(tmp_path: Path) -> None:
    three_builds(tmp_path)
    assert roll_back(tmp_path) == 2
    with Store.open(tmp_path) as store:
        assert (store.version, len(store)) == (2, 6)
    assert roll_back(tmp_path) == 1
    assert roll_back(tmp_path, 3) == 3
    assert build(tmp_path, passages(8), random_vectors(8)).version == 4


def test_going_back_to_what_is_not_there_or_not_whole_is_refused(tmp_path: Path) -> None:
    three_builds(tmp_path)
    with pytest.raises(StoreError, match=r"there is no version 9. It holds \[1, 2, 3\]"):
        roll_back(tmp_path, 9)
    (version_folder(tmp_path, 2) / "passages.arrow").write_bytes(b"rot")
    with pytest.raises(StoreError, match=r"passages\.arrow: damaged"):
        roll_back(tmp_path)
    assert current_version(tmp_path) == 3
    roll_back(tmp_path, 1)
    with pytest.raises(StoreError, match="there is no version older than 1, which is served"):
        roll_back(tmp_path)


def test_old_versions_are_removed_and_the_served_one_never(tmp_path: Path) -> None:
    three_builds(tmp_path)
    three_builds(tmp_path)
    roll_back(tmp_path, 2)
    assert collect_garbage(tmp_path, keep=2) == [1, 3, 4]
    assert versions(tmp_path) == [2, 5, 6]
    assert collect_garbage(tmp_path, keep=2) == []
    Store.open(tmp_path, check=True).close()
    with pytest.raises(InputError, match=r"keep is 0\. Keep at least one version"):
        collect_garbage(tmp_path, keep=0)


def test_removing_a_version_frees_what_no_other_shares_and_breaks_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    build(tmp_path, passages(50), random_vectors(50))
    extend(tmp_path, deleted=["p1"])
    extend(tmp_path, deleted=["p2"])
    before, own = on_disk(tmp_path), [one.own for one in list_versions(tmp_path)]
    assert collect_garbage(tmp_path, keep=1) == [1, 2]
    assert before - on_disk(tmp_path) == own[0] + own[1]
    assert f"2 versions removed, {own[0] + own[1]} bytes freed" in caplog.text
    Store.open(tmp_path, check=True).close()


def test_an_open_version_goes_on_answering_after_it_was_removed(tmp_path: Path) -> None:
    three_builds(tmp_path)
    with Store.open(tmp_path, version=1) as store:
        assert collect_garbage(tmp_path, keep=1) == [1, 2]
        hits = store.search(random_vectors(5)[3:4], 1)[0]
        assert store.passage(hits[0].row).id == "p3"


def test_what_killed_runs_left_is_removed(tmp_path: Path) -> None:
    three_builds(tmp_path)
    for name in ("4.partial", "9.extension.partial", "2.removal.partial"):
        (tmp_path / "versions" / name / "shards").mkdir(parents=True)
    assert collect_garbage(tmp_path, keep=5) == []
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["1", "2", "3"]


@pytest.mark.slow
def test_hundreds_of_versions_in_a_row_leak_neither_disk_nor_file_handles(tmp_path: Path) -> None:
    def go_on(times: int) -> tuple[int, int, int]:
        for _ in range(times):
            build(tmp_path, passages(5), random_vectors(5), "hnsw")
            extend(tmp_path, [Passage(id="new", text="x")], random_vectors(1), ["p3"])
            collect_garbage(tmp_path, keep=2)
        maps = sum(str(tmp_path) in line for line in Path("/proc/self/maps").read_text().splitlines())
        return len(list(Path("/proc/self/fd").iterdir())), maps, len(list(tmp_path.rglob("*")))

    handles, maps, files = go_on(5)
    size = on_disk(tmp_path)
    assert go_on(100) == (handles, 0, files) == (handles, maps, files)
    assert on_disk(tmp_path) < size + 200  # numbers of versions have more digits
