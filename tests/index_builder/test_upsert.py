"""Upserts and deletions: a version that differs a little, at the cost of the difference."""

import re
from pathlib import Path

import numpy as np
import pytest

from index_builder.settings import DeleteSettings, UpsertSettings
from index_builder.upsert import delete, plan_delete, plan_upsert, upsert
from semiparametric.embedding import embed_passages
from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage, write_jsonl
from semiparametric.pair import load_embseq
from semiparametric.store import Store, versions
from tests.index_builder.test_rebuild import built, held, passages, tree


def batch(tmp_path: Path, *entries: Passage) -> list[Path]:
    write_jsonl(tmp_path / "batch.jsonl", entries)
    return [tmp_path / "batch.jsonl"]


def test_passages_are_added_and_replaced_by_their_ids(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    new, other = Passage(id="new", text="The eel pass opens."), Passage(id="p3", text="The lamp was out.")
    done = upsert(UpsertSettings(index=index, corpus=batch(tmp_path, new, other, passages()[7])))
    assert done.counts == {"added": 1, "replaced": 1, "unchanged": 1, "encoded": 2}
    assert (done.published, done.manifest.version, done.manifest.corpus.count) == (True, 2, 31)
    queries = embed_passages(load_embseq(tiny_pair), [new, other, passages()[3]])
    with Store.open(index) as store:
        found = [store.passage(hits[0].row) for hits in store.search(queries, 1)]
    assert found[:2] == [new, other]
    assert found[2].id != "p3"
    assert done.manifest.build.upserted == ["new", "p3"]
    assert done.manifest.build.sources == [str(tmp_path / "corpus.jsonl"), str(tmp_path / "batch.jsonl")]


def test_a_batch_that_the_index_holds_already_publishes_nothing(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    before = tree(index)
    done = upsert(UpsertSettings(index=index, corpus=batch(tmp_path, *passages()[:4])))
    assert (done.published, done.manifest.version) == (False, 1)
    assert done.counts == {"added": 0, "replaced": 0, "unchanged": 4, "encoded": 0}
    assert tree(index) == before


def test_new_metadata_alone_encodes_nothing(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    moved = passages()[9].model_copy(update={"metadata": {"keeper": "Ann"}})
    done = upsert(UpsertSettings(index=index, corpus=batch(tmp_path, moved)))
    assert done.counts == {"added": 0, "replaced": 1, "unchanged": 0, "encoded": 0}
    with Store.open(index) as store, Store.open(index, version=1) as before:
        (row,) = store.rows_matching({"keeper": "Ann"})
        np.testing.assert_array_equal(store.vectors(np.array([row])), before.vectors(np.array([9])))


def test_deleted_passages_are_not_found_until_they_are_put_in_again(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    (tmp_path / "ids.txt").write_text("p1\np2\n\np1\n")
    done = delete(DeleteSettings(index=index, id_=["p8"], ids_from=tmp_path / "ids.txt"))
    assert (done.counts, done.manifest.corpus.count) == ({"deleted": 3}, 27)
    assert done.manifest.build.deleted == ["p8", "p1", "p2"]
    queries = embed_passages(load_embseq(tiny_pair), passages())
    with Store.open(index) as store:
        given = {store.passage(hit.row).id for hits in store.search(queries, 30) for hit in hits}
    assert given == {f"p{n}" for n in range(30)} - {"p1", "p2", "p8"}
    back = upsert(UpsertSettings(index=index, corpus=batch(tmp_path, passages()[2])))
    assert back.counts["added"] == 1
    assert (back.manifest.build.deleted, back.manifest.build.upserted) == (["p8", "p1"], ["p2"])
    assert sorted(one.id for one in held(index)) == sorted(given | {"p2"})


def test_dry_runs_say_what_would_happen_and_write_nothing(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    corpus = batch(tmp_path, Passage(id="new", text="The eel pass opens."), passages()[0])
    before = tree(tmp_path)
    plan = plan_upsert(UpsertSettings(index=index, corpus=corpus))
    assert str(plan) == (
        f"{index}: would publish version 2: 31 passages, 1 added, 0 replaced, 1 unchanged, 1 to encode, "
        "index type flat. Nothing was written"
    )
    plan = plan_delete(DeleteSettings(index=index, id_=["p1"]))
    assert (plan.version, plan.passages, plan.counts) == (2, 29, {"deleted": 1})
    assert tree(tmp_path) == before


@pytest.mark.bad_input
def test_an_id_that_stands_twice_in_a_batch_is_refused_with_its_line(tmp_path: Path, tiny_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    corpus = batch(tmp_path, Passage(id="a", text="One."), Passage(id="b", text="Two."), Passage(id="a", text="Three."))
    with pytest.raises(InputError, match=r"batch.jsonl, line 3, field id: the id 'a' stands on line 1 already"):
        upsert(UpsertSettings(index=index, corpus=corpus))
    assert versions(index) == [1]


@pytest.mark.bad_input
def test_a_wrong_pair_is_refused(tmp_path: Path, tiny_pair: Path, other_pair: Path) -> None:
    index = built(tmp_path, tiny_pair)
    settings = UpsertSettings(index=index, corpus=batch(tmp_path, Passage(id="a", text="One.")), pair=other_pair)
    for refused in (upsert, plan_upsert):
        with pytest.raises(StoreError, match=r"its vectors were made by the pair .*Name the index's own pair"):
            refused(settings)
    assert versions(index) == [1]


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ([], "no id to delete. Give --id ID, which may be repeated, or --ids-from FILE"),
        (["p1", "nobody"], "the index has no passage 'nobody'"),
        ([f"p{n}" for n in range(30)], "all 30 passages of the index would be gone"),
    ],
)
@pytest.mark.bad_input
def test_a_deletion_that_cannot_be_is_refused(tmp_path: Path, tiny_pair: Path, ids: list[str], said: str) -> None:
    index = built(tmp_path, tiny_pair)
    for refused in (delete, plan_delete):
        with pytest.raises(InputError, match=re.escape(said)):
            refused(DeleteSettings(index=index, id_=ids))
    assert versions(index) == [1]


@pytest.mark.bad_input
def test_where_nothing_is_served_nothing_is_made(tmp_path: Path) -> None:
    corpus = batch(tmp_path, Passage(id="a", text="One."))
    with pytest.raises(StoreError, match="no index is published here"):
        upsert(UpsertSettings(index=tmp_path / "index", corpus=corpus))
    with pytest.raises(StoreError, match="no index is published here"):
        delete(DeleteSettings(index=tmp_path / "index", id_=["a"]))
    assert not (tmp_path / "index").exists()
