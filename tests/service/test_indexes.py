"""Versions published while an index is served: taken up, refused, gone back to, and closed after their last use."""

import asyncio
import logging
import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest

from semiparametric.errors import CosupError, InputError, StoreError
from semiparametric.formats import Passage
from semiparametric.pair import read_spec
from semiparametric.spec import PairSpec
from semiparametric.store import collect_garbage, roll_back
from semiparametric.store.layout import version_folder
from service.index_folders import IndexFolder
from service.index_watch import Follower
from service.indexes import Indexes, ServedIndex, open_indexes
from tests.small_index import build_small_index


def passages_of(version: int) -> list[Passage]:
    return [
        Passage(id=f"{word}-{version}", title=word, text=f"{word}, version {version}.") for word in ("lamp", "tide")
    ]


def publish(pair: Path, folder: Path, version: int) -> None:
    build_small_index(pair, folder, passages=passages_of(version))


@pytest.fixture
def folder(tiny_pair: Path, tmp_path: Path) -> Path:
    publish(tiny_pair, tmp_path / "small", 1)
    return tmp_path / "small"


@pytest.fixture
def spec(tiny_pair: Path) -> PairSpec:
    return read_spec(tiny_pair)


def first_passage(index: ServedIndex) -> str:
    return index.current.store.passage(0).id


def damage(folder: Path, version: int) -> None:
    vectors = version_folder(folder, version) / "index.faiss"
    vectors.write_bytes(vectors.read_bytes()[:-4] + b"\0\1\2\3")


def files_in_use(folder: Path) -> set[str]:
    """The files below a folder that this process has open or mapped."""
    process = psutil.Process()
    paths = {file.path for file in process.open_files()} | {region.path for region in process.memory_maps()}
    return {path for path in paths if path.startswith(f"{folder}/")}


async def test_what_is_published_is_served_from_the_next_request_on(
    tiny_pair: Path, folder: Path, spec: PairSpec
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    index = indexes["small"]
    await index.refresh()
    with index.current.used() as version:
        publish(tiny_pair, folder, 2)
        await index.refresh()
        assert (index.current.store.version, first_passage(index)) == (2, "lamp-2")
        assert (version.store.version, version.store.passage(0).id) == (1, "lamp-1")
        with index.current.used() as newer:
            assert newer.store.version == 2
    await version.closed()
    await indexes.close()


async def test_a_version_is_closed_after_its_last_use_and_not_before(
    tiny_pair: Path, folder: Path, spec: PairSpec
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    index = indexes.default
    first = version_folder(folder, 1)
    with index.current.used() as version:
        with version.used():
            publish(tiny_pair, folder, 2)
            await index.refresh()
        assert files_in_use(first)
        assert version.store.search(np.ones((1, spec.dimension), np.float32), 2)[0]
    await version.closed()
    assert not files_in_use(first)
    assert files_in_use(version_folder(folder, 2))
    await indexes.close()
    assert not files_in_use(folder)


async def test_a_version_out_of_use_is_closed_when_it_is_replaced(
    tiny_pair: Path, folder: Path, spec: PairSpec
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    old = indexes.default.current
    publish(tiny_pair, folder, 2)
    await indexes.default.refresh()
    await old.closed()
    assert not files_in_use(version_folder(folder, 1))
    await indexes.close()


async def test_an_index_that_is_used_while_the_service_ends_is_closed_by_its_last_user(
    folder: Path, spec: PairSpec
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    with indexes.default.current.used() as version:
        await indexes.close()
        assert version.store.passage(0).id == "lamp-1"
    await version.closed()
    assert not files_in_use(folder)


async def test_a_rollback_is_taken_up(tiny_pair: Path, folder: Path, spec: PairSpec) -> None:
    publish(tiny_pair, folder, 2)
    indexes = await open_indexes([IndexFolder(folder)], spec)
    assert roll_back(folder) == 1
    await indexes.default.refresh()
    assert first_passage(indexes.default) == "lamp-1"
    await indexes.close()


async def test_an_index_that_was_built_anew_from_nothing_is_taken_up_though_its_version_is_1_again(
    tiny_pair: Path, folder: Path, spec: PairSpec
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    build_small_index(tiny_pair, folder.parent / "anew", passages=passages_of(9))
    shutil.rmtree(folder)
    (folder.parent / "anew").rename(folder)
    await indexes.default.refresh()
    assert (indexes.default.current.store.version, first_passage(indexes.default)) == (1, "lamp-9")
    await indexes.close()


async def test_a_version_that_is_still_used_may_be_removed(tiny_pair: Path, folder: Path, spec: PairSpec) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    with indexes.default.current.used() as version:
        publish(tiny_pair, folder, 2)
        assert collect_garbage(folder, keep=1) == [1]
        await indexes.default.refresh()
        [[hit]] = version.store.search(np.ones((1, spec.dimension), np.float32), 1)
        assert version.store.passage(hit.row).id.endswith("-1")
        assert version.store.rows_of(["tide-1"]).tolist() == [1]
    await version.closed()
    await indexes.close()


async def test_a_later_version_that_calls_itself_otherwise_keeps_the_name_it_is_served_under(
    tiny_pair: Path, folder: Path, spec: PairSpec
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    build_small_index(tiny_pair, folder, name="renamed")
    await indexes.default.refresh()
    assert indexes.default.name == indexes.default.current.name == "small"
    await indexes.close()


@pytest.mark.bad_input
@pytest.mark.parametrize("fault", ["damaged", "of another pair", "of another dimension", "gone", "no number"])
async def test_what_cannot_be_served_is_logged_once_and_the_version_before_stays(
    tiny_pair: Path, folder: Path, spec: PairSpec, fault: str, caplog: pytest.LogCaptureFixture
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    index = indexes.default
    said = publish_faulty(tiny_pair, folder, fault)
    for _ in range(3):
        with pytest.raises(StoreError, match=said):
            await index.refresh()
    assert first_passage(index) == "lamp-1"
    [line] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert said in line.getMessage()
    assert line.__dict__["fields"] == {"index": "small", "version": 1}
    assert (index.refused is None) == (fault in {"gone", "no number"})
    if index.refused is not None:
        assert index.refused.version == 2
        roll_back(folder, 1)
        await index.refresh()
        assert index.refused is None
        assert index.current.store.version == 1
    await indexes.close()


def publish_faulty(pair: Path, folder: Path, fault: str) -> str:
    """Publish a version with a fault; what the refusal says."""
    if fault == "gone":
        folder.rename(folder.parent / "elsewhere")
        return "no index is published here"
    if fault == "no number":
        (folder / "CURRENT").write_text("../../2")
        return "not the number of a version"
    fingerprint, dimension = ("f" * 64 if fault == "of another pair" else None), (5 if "dimension" in fault else None)
    build_small_index(pair, folder, fingerprint=fingerprint, dimension=dimension)
    if fault == "damaged":
        damage(folder, 2)
        return "damaged: its checksum is"
    return "made by the pair" if fingerprint else "was not trained to serve with its 5 leading dimensions"


@pytest.mark.bad_input
async def test_a_refused_version_is_not_read_again_at_every_look_but_another_one_is_taken_up_at_once(
    tiny_pair: Path, folder: Path, spec: PairSpec
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    follower = Follower(indexes.default, interval_s=1000)
    publish(tiny_pair, folder, 2)
    whole = (version_folder(folder, 2) / "index.faiss").read_bytes()
    damage(folder, 2)
    await follower.look()
    (version_folder(folder, 2) / "index.faiss").write_bytes(whole)  # mended: the manifest's time is as before
    await follower.look()
    assert indexes.default.current.store.version == 1
    publish(tiny_pair, folder, 3)
    await follower.look()
    assert indexes.default.current.store.version == 3
    await indexes.close()


async def test_a_refused_version_that_was_mended_is_taken_up_when_its_wait_is_over(
    tiny_pair: Path, folder: Path, spec: PairSpec
) -> None:
    indexes = await open_indexes([IndexFolder(folder)], spec)
    follower = Follower(indexes.default, interval_s=0.0)
    publish(tiny_pair, folder, 2)
    whole = (version_folder(folder, 2) / "index.faiss").read_bytes()
    damage(folder, 2)
    await follower.look()
    assert indexes.default.refused is not None
    (version_folder(folder, 2) / "index.faiss").write_bytes(whole)
    await follower.look()
    assert indexes.default.refused is None
    assert indexes.default.current.store.version == 2
    await indexes.close()


async def test_refreshing_many_times_at_once_opens_a_version_once(
    tiny_pair: Path, folder: Path, spec: PairSpec, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "service.indexes")
    indexes = await open_indexes([IndexFolder(folder)], spec)
    publish(tiny_pair, folder, 2)
    await asyncio.gather(*(indexes.default.refresh() for _ in range(8)))
    [line] = [record.__dict__["fields"] for record in caplog.records if record.name == "service.indexes"]
    assert line == {"index": "small", "version": 2, "passages": 2, "before": 1}
    await indexes.close()


@pytest.fixture
def other(tiny_pair: Path, tmp_path: Path) -> Path:
    return build_small_index(tiny_pair, tmp_path / "other", name="small")


@pytest.mark.bad_input
async def test_two_indexes_of_one_name_are_not_opened_and_leave_no_file_open(
    folder: Path, other: Path, spec: PairSpec
) -> None:
    with pytest.raises(InputError, match="more than one index is called small"):
        await open_indexes([IndexFolder(folder), IndexFolder(other)], spec)
    assert not files_in_use(folder)
    assert not files_in_use(other)
    indexes: Indexes = await open_indexes([IndexFolder(folder), IndexFolder(other, "other")], spec)
    assert list(indexes) == ["small", "other"]
    assert indexes.default.name == "small"
    await indexes.close()


@pytest.mark.bad_input
async def test_where_one_index_cannot_be_opened_none_stays_open(tiny_pair: Path, folder: Path, spec: PairSpec) -> None:
    nowhere = IndexFolder(folder.parent / "nowhere", "nowhere")
    unnamed = build_small_index(tiny_pair, folder.parent / "unnamed", name="no good/name")
    for faulty in (nowhere, IndexFolder(unnamed)):
        with pytest.raises(CosupError):
            await open_indexes([IndexFolder(folder), faulty], spec)
        assert not files_in_use(folder.parent)
