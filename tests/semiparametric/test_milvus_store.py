"""A store whose vectors are in Milvus, from the reader's side: like one of FAISS files, through its whole life."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semiparametric.errors import StoreError
from semiparametric.store import Manifest, Store, VersionWriter, collect_garbage, roll_back
from semiparametric.store.lock import build_lock
from semiparametric.store.milvus_client import connected, located
from tests.semiparametric.stores import PAIR, build, extend, passages, random_vectors, record

pytest.importorskip("pymilvus", reason="needs `pip install 'cosup[milvus-lite]'`")
pytest.importorskip("milvus_lite", reason="needs `pip install 'cosup[milvus-lite]'`")

COUNT = 400


def build_in_milvus(index: Path, seed: int = 0, index_type: str = "flat") -> Manifest:
    with build_lock(index):
        writer = VersionWriter(index)
        corpus = writer.write_passages(passages(COUNT))
        summary = writer.write_collection(
            [random_vectors(COUNT, seed=seed)], uri=None, index_type=index_type, parameters={}
        )
        return writer.publish(name="shelf", fingerprint=PAIR, corpus=corpus, index=summary, build=record())


def rows_found(store: Store, queries: NDArray[np.float32], **given: NDArray[np.int64]) -> list[list[int]]:
    return [[hit.row for hit in hits] for hits in store.search(queries, 10, **given)]


def collections(index: Path) -> list[str]:
    with connected(located("milvus.db", index)) as client:
        return sorted(client.list_collections())


def test_a_hundred_queries_give_the_ten_passages_that_faiss_gives(tmp_path: Path) -> None:
    queries = random_vectors(100, seed=1)
    build(tmp_path / "faiss", passages(COUNT), random_vectors(COUNT), "flat")
    manifest = build_in_milvus(tmp_path / "milvus")
    assert (manifest.store, manifest.index.recall_at_10) == ("milvus", 1.0)
    with Store.open(tmp_path / "faiss") as files, Store.open(tmp_path / "milvus", fingerprint=PAIR) as store:
        assert rows_found(store, queries) == rows_found(files, queries)
        rows = files.rows_matching({"even": True})
        assert rows_found(store, queries, rows=rows) == rows_found(files, queries, rows=rows)
        assert store.passage(7) == files.passage(7)


def test_its_life_is_that_of_any_index_and_gc_takes_the_collections_with_the_versions(tmp_path: Path) -> None:
    vectors, queries = random_vectors(COUNT), random_vectors(20, seed=1)
    first = build_in_milvus(tmp_path)
    with Store.open(tmp_path) as store:
        before = rows_found(store, queries)
        nearest = sorted({hits[0] for hits in before})

        added = passages(1)[0].model_copy(update={"id": "added"})
        second = extend(tmp_path, [added], vectors[:1] * 9, deleted=[f"p{row}" for row in nearest])
        assert rows_found(store, queries) == before
    assert second.parts[0] == first.parts[0]
    with Store.open(tmp_path) as store:
        assert not {row for hits in rows_found(store, queries) for row in hits} & set(nearest)
        assert store.search(vectors[:1], 1)[0][0].row == COUNT
        np.testing.assert_array_equal(store.vectors(np.array([5, COUNT])), np.stack([vectors[5], vectors[0] * 9]))

    roll_back(tmp_path, 1)
    with Store.open(tmp_path) as store:
        assert rows_found(store, queries) == before

    third = build_in_milvus(tmp_path, seed=2)
    with build_lock(tmp_path):
        assert collect_garbage(tmp_path, keep=1) == [1, 2]
    assert collections(tmp_path) == [third.parts[0].collection]
    with Store.open(tmp_path) as store:
        assert rows_found(store, queries) == np.argsort(-(queries @ random_vectors(COUNT, seed=2).T))[:, :10].tolist()


def test_an_index_folder_may_move_with_the_database_in_it(tmp_path: Path) -> None:
    build_in_milvus(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    with Store.open(tmp_path / "there") as store:
        assert store.search(random_vectors(COUNT)[3:4], 1)[0][0].row == 3


def test_refuses_a_collection_that_was_dropped_or_has_lost_rows(tmp_path: Path) -> None:
    name = build_in_milvus(tmp_path).parts[0].collection
    with connected(located("milvus.db", tmp_path)) as client:
        client.delete(name, ids=[3])
    with pytest.raises(StoreError, match=f"{COUNT - 1} vectors, its manifest says {COUNT}"):
        Store.open(tmp_path)
    with connected(located("milvus.db", tmp_path)) as client:
        client.drop_collection(name)
    with pytest.raises(StoreError, match=f"milvus.db, collection {name}: there is no such collection"):
        Store.open(tmp_path)
