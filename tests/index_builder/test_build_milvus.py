"""Building with `--store milvus`: the same answers as with files, rebuilt, upserted, and refused before encoding."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from index_builder.build import build_index
from index_builder.cli import index_app
from index_builder.rebuild import rebuild_index
from index_builder.settings import BuildSettings, DeleteSettings, RebuildSettings, UpsertSettings
from index_builder.upsert import delete, upsert
from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage, write_jsonl
from semiparametric.store import Store

pytest.importorskip("pymilvus", reason="needs `pip install 'cosup[milvus-lite]'`")
pytest.importorskip("milvus_lite", reason="needs `pip install 'cosup[milvus-lite]'`")

WORDS = ["lamp", "tide", "wick", "stair", "log", "oil", "wind", "storm", "keeper", "boat", "rope", "glass"]


def passages(count: int = 60) -> list[Passage]:
    random = np.random.default_rng(0)
    return [Passage(id=f"p{n}", text=" ".join(random.choice(WORDS, 5)), metadata={"day": n % 7}) for n in range(count)]


def settings(pair: Path, corpus: Path, out: Path, **given: object) -> BuildSettings:
    write_jsonl(corpus, passages())
    return BuildSettings.resolve({"pair": pair, "corpus": [corpus], "out": out, "index_type": "flat"} | given)


def found(index: Path, queries: NDArray[np.float32], **filter_: int) -> list[list[str]]:
    with Store.open(index) as store:
        rows = store.rows_matching(filter_) if filter_ else None
        return [[store.passage(hit.row).id for hit in hits] for hits in store.search(queries, 5, rows=rows)]


def test_an_index_in_milvus_answers_as_one_in_files_after_every_command(tmp_path: Path, tiny_pair: Path) -> None:
    files, milvus = tmp_path / "files", tmp_path / "milvus"
    queries = np.random.default_rng(1).standard_normal((20, 32)).astype(np.float32)

    def agree() -> bool:
        return found(milvus, queries) == found(files, queries) and found(milvus, queries, day=3) == found(
            files, queries, day=3
        )

    build_index(settings(tiny_pair, tmp_path / "corpus.jsonl", files))
    manifest = build_index(settings(tiny_pair, tmp_path / "corpus.jsonl", milvus, store="milvus"))
    assert (manifest.store, manifest.index.recall_at_10) == ("milvus", 1.0)
    assert agree()

    more = [Passage(id="p3", text="The boat came in on the tide."), Passage(id="new", text="No wind.")]
    write_jsonl(tmp_path / "more.jsonl", more)
    for index in (files, milvus):
        upsert(UpsertSettings(index=index, corpus=[tmp_path / "more.jsonl"]))
        delete(DeleteSettings(index=index, id_=["p7"]))
    assert agree()

    write_jsonl(tmp_path / "corpus.jsonl", passages(65))
    for index in (files, milvus):
        done = rebuild_index(RebuildSettings(index=index))
        assert (done.counts["added"], done.counts["encoded"]) == (5, 5)
    assert agree()

    result = CliRunner().invoke(index_app, ["gc", str(milvus), "--keep", "1"])
    assert result.exit_code == 0, result.output
    assert agree()
    assert len(json.loads((milvus / "milvus.json").read_text())) == 1


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"milvus_uri": "http://127.0.0.1:9"}, StoreError, "no Milvus answers there"),
        ({"index_type": "ivf-pq"}, InputError, "'ivf-pq' is no index type of --store milvus"),
        ({"shards": 2}, InputError, "shards is 2"),
    ],
)
def test_refuses_before_anything_is_written(
    tmp_path: Path, tiny_pair: Path, given: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        build_index(settings(tiny_pair, tmp_path / "corpus.jsonl", tmp_path / "index", store="milvus", **given))
    assert not (tmp_path / "index").exists()
