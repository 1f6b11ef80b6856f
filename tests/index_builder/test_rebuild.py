"""Rebuilding: what is encoded again, what is reused, and what stays of upserts and deletions."""

import logging
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from index_builder.build import build_index
from index_builder.rebuild import plan_rebuild, rebuild_index
from index_builder.settings import BuildSettings, DeleteSettings, RebuildSettings, UpsertSettings
from index_builder.upsert import delete, upsert
from semiparametric.embedding import embed_passages
from semiparametric.errors import InputError, PairError, StoreError
from semiparametric.formats import Passage, write_jsonl
from semiparametric.pair import load_embseq, read_spec
from semiparametric.store import Store, current_version, versions
from tests.index_builder.test_build import build_with_small_files, partial_files


def passages(count: int = 30) -> list[Passage]:
    return [Passage(id=f"p{n}", title="Log", text=f"On day {n} the wind was {n % 7}.") for n in range(count)]


def built(tmp_path: Path, pair: Path, entries: list[Passage] | None = None) -> Path:
    """An index over `corpus.jsonl`, which holds these passages."""
    write_jsonl(tmp_path / "corpus.jsonl", entries or passages())
    index = tmp_path / "index"
    build_index(BuildSettings(pair=pair, corpus=[tmp_path / "corpus.jsonl"], out=index, shard_passages=4))
    return index


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def held(index: Path) -> list[Passage]:
    """What lookups may give, in the order of rows."""
    with Store.open(index) as store:
        return [store.passage(row) for row in store.live_rows().tolist()]


def test_where_nothing_has_changed_nothing_is_published(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    before = tree(index)
    done = rebuild_index(RebuildSettings(index=index))
    assert not done.published
    assert done.manifest.version == 1
    assert done.counts == {"added": 0, "changed": 0, "removed": 0, "reused": 30, "encoded": 0}
    assert tree(index) == before


def test_only_new_contents_are_encoded_and_all_is_found_as_in_a_fresh_build(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    entries = passages(33)
    entries[5] = entries[5].model_copy(update={"text": "On day 5 the glass fell."})
    del entries[11]
    write_jsonl(tmp_path / "corpus.jsonl", entries)
    done = rebuild_index(RebuildSettings(index=index))
    assert (done.published, done.manifest.version) == (True, 2)
    assert done.counts == {"added": 3, "changed": 1, "removed": 1, "reused": 28, "encoded": 4}
    assert held(index) == entries
    vectors = embed_passages(load_embseq(tiny_pair), entries)
    with Store.open(index) as store, Store.open(index, version=1) as before:
        np.testing.assert_allclose(store.vectors(np.arange(32)), vectors, atol=1e-6)
        np.testing.assert_array_equal(store.vectors(np.arange(5)), before.vectors(np.arange(5)))
        assert [hits[0].row for hits in store.search(vectors, 1)] == list(range(32))


def test_passages_that_moved_or_changed_metadata_keep_their_vectors(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    entries = [one.model_copy(update={"metadata": {"keeper": "Ann"}}) for one in reversed(passages())]
    write_jsonl(tmp_path / "corpus.jsonl", entries)
    done = rebuild_index(RebuildSettings(index=index))
    assert done.counts == {"added": 0, "changed": 0, "removed": 0, "reused": 30, "encoded": 0}
    assert done.published
    assert held(index) == entries
    with Store.open(index) as store, Store.open(index, version=1) as before:
        np.testing.assert_array_equal(store.vectors(np.arange(30)), before.vectors(np.arange(30))[::-1])
        assert len(store.rows_matching({"keeper": "Ann"})) == 30


def test_another_pair_encodes_all(
    tmp_path: Path, tiny_pair: Path, other_pair: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = built(tmp_path, tiny_pair)
    with caplog.at_level(logging.WARNING):
        done = rebuild_index(RebuildSettings(index=index, pair=other_pair))
    assert done.counts == {"added": 0, "changed": 0, "removed": 0, "reused": 0, "encoded": 30}
    assert done.manifest.fingerprint == read_spec(other_pair).fingerprint
    assert "all passages are encoded again: the pair has changed" in caplog.text
    again = rebuild_index(RebuildSettings(index=index))  # it goes on with the new pair
    assert (again.published, again.manifest.version) == (False, 2)


@pytest.mark.parametrize(("keep_vectors", "reused"), [(True, 29), (False, 0)])
def test_vectors_are_reused_from_an_index_that_loses_some_only_where_it_kept_them(
    tmp_path: Path, tiny_pair: Path, keep_vectors: bool, reused: int, caplog: pytest.LogCaptureFixture
) -> None:
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    write_jsonl(corpus, passages())
    lossy = {"index_type": "factory", "factory": "SQ8", "shards": 2, "keep_vectors": keep_vectors}
    build_index(BuildSettings.resolve({"pair": tiny_pair, "corpus": corpus, "out": index} | lossy))
    entries = [*passages()[1:], Passage(id="new", text="The eel pass opens.")]
    write_jsonl(corpus, entries)
    done = rebuild_index(RebuildSettings(index=index))
    assert (done.counts["reused"], done.counts["encoded"]) == (reused, 30 - reused)
    assert ("did not keep its vectors" in caplog.text) is not keep_vectors
    vectors = embed_passages(load_embseq(tiny_pair), entries)
    with Store.open(index) as store:
        assert [store.passage(hits[0].row) for hits in store.search(vectors, 1)] == entries
        if keep_vectors:
            np.testing.assert_allclose(store.vectors(np.arange(30)), vectors, atol=1e-6)


def test_it_is_called_from_anywhere(tmp_path: Path, tiny_pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_jsonl(tmp_path / "corpus.jsonl", passages())
    shutil.copytree(tiny_pair, tmp_path / "pair")
    monkeypatch.chdir(tmp_path)
    build_index(BuildSettings(pair=Path("pair"), corpus=[Path("corpus.jsonl")], out=Path("index")))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    write_jsonl(tmp_path / "corpus.jsonl", passages(31))
    assert rebuild_index(RebuildSettings(index=Path("../index"))).counts["added"] == 1


def test_upserts_and_deletions_stay_until_the_sources_alone_are_asked_for(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    write_jsonl(tmp_path / "more.jsonl", [Passage(id="p3", text="Replaced."), Passage(id="new", text="Put in.")])
    upsert(UpsertSettings(index=index, corpus=[tmp_path / "more.jsonl"]))
    delete(DeleteSettings(index=index, id_=["p4", "p5"]))
    assert Store.open(index).manifest.deleted == 3

    done = rebuild_index(RebuildSettings(index=index))
    assert (done.published, done.manifest.deleted, done.manifest.base) == (True, 0, None)
    assert done.counts == {"added": 0, "changed": 0, "removed": 0, "reused": 29, "encoded": 0}
    texts = {one.id: one.text for one in held(index)}
    assert (texts["p3"], texts["new"], len(texts)) == ("Replaced.", "Put in.", 29)
    assert not texts.keys() & {"p4", "p5"}
    assert not rebuild_index(RebuildSettings(index=index)).published

    undone = rebuild_index(RebuildSettings(index=index, sources_only=True))
    assert undone.counts == {"added": 2, "changed": 1, "removed": 1, "reused": 27, "encoded": 3}
    assert held(index) == passages()


def test_a_dry_run_says_what_would_happen_and_writes_nothing(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    before = tree(tmp_path)
    assert str(plan_rebuild(RebuildSettings(index=index))).endswith("nothing has changed, nothing would be published")
    write_jsonl(tmp_path / "corpus.jsonl", passages(31))
    plan = plan_rebuild(RebuildSettings(index=index))
    assert (plan.version, plan.passages, plan.to_encode) == (2, 31, 1)
    assert plan.counts == {"added": 1, "changed": 0, "removed": 0, "reused": 30}
    del before["corpus.jsonl"]
    assert tree(index) == {name.removeprefix("index/"): data for name, data in before.items()}


@pytest.mark.bad_input
def test_a_source_that_is_gone_is_named(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    (tmp_path / "corpus.jsonl").rename(tmp_path / "moved.jsonl")
    with pytest.raises(InputError, match=rf"{tmp_path}/corpus.jsonl: no such file or folder.*--corpus"):
        rebuild_index(RebuildSettings(index=index))
    done = rebuild_index(RebuildSettings(index=index, corpus=[tmp_path / "moved.jsonl"]))
    assert not done.published


@pytest.mark.bad_input
def test_a_rebuild_of_nothing_is_refused_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no index is published here"):
        rebuild_index(RebuildSettings(index=tmp_path / "index"))
    assert not (tmp_path / "index").exists()


@pytest.mark.bad_input
def test_a_damaged_version_is_refused_rather_than_reused(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    path = index / "versions/1/index.faiss"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match="damaged"):
        rebuild_index(RebuildSettings(index=index))


@pytest.mark.bad_input
def test_a_folder_that_is_no_pair_is_refused(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    with pytest.raises(PairError, match=r"not a pair: there is no pair\.json"):
        rebuild_index(RebuildSettings(index=index, pair=tmp_path))
    assert (versions(index), partial_files(index)) == ([1], [])


@pytest.mark.bad_input
def test_a_full_disk_leaves_what_is_served_and_the_rebuild_resumes(
    tmp_path: Path, tiny_pair: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = built(tmp_path, tiny_pair)
    entries = [one.model_copy(update={"text": f"{one.text} Rain."}) for one in passages()[:20]] + passages()[20:]
    write_jsonl(tmp_path / "corpus.jsonl", entries)
    with pytest.raises(StoreError, match="no space left"), build_with_small_files(3500):  # the index alone is larger
        rebuild_index(RebuildSettings(index=index))
    assert current_version(index) == 1
    assert held(index) == passages()
    with caplog.at_level(logging.INFO):
        done = rebuild_index(RebuildSettings(index=index))
    assert "resuming: 5 of 5 shards are there" in caplog.text
    assert done.counts["encoded"] == 20
    assert (held(index), partial_files(index)) == (entries, [])


@pytest.mark.bad_input
def test_a_read_only_index_is_refused_with_its_name(tmp_path: Path, tiny_pair: Path, small_disk: Path) -> None:
    shutil.copytree(built(tmp_path, tiny_pair), small_disk / "index")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    settings = RebuildSettings(index=small_disk / "index")
    for refused in (rebuild_index, plan_rebuild):
        with pytest.raises(StoreError, match=r"disk/index: cannot be written"):
            refused(settings)
