"""The benchmark of searching and rebuilding, at a tiny size."""

import re
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks import index
from benchmarks.index_scene import build, make_scene
from semiparametric.formats import Passage, write_jsonl

TYPES = ["flat", "hnsw", "ivf-flat", "ivf-sq8", "ivf-pq"]


@pytest.mark.timeout(120)
def test_the_index_benchmark_measures_every_type_and_the_rebuild(tmp_path: Path, tiny_pair: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    write_jsonl(corpus, [Passage(id=f"p{n}", text=f"The keeper notes the weather of day {n}.") for n in range(100)])
    app = typer.Typer()
    app.command()(index.main)
    result = CliRunner().invoke(
        app, ["--smoke", "--corpus", str(corpus), "--pair", str(tiny_pair), "--work", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    assert "Of 100 passages 1 changed: the rebuild's encoding took" in result.stdout
    pairs = re.findall(r"^\| (\S+) \| (1|64) \| [\d.]+ \| [\d.]+ \| [+-]", result.stdout, re.MULTILINE)
    assert pairs == [(name, batch) for name in TYPES for batch in ("1", "64")]
    recalls = re.findall(r"^\| (\S+) \| [^|]* \| ([01]\.\d+) \| ([01]\.\d+) \| [\d.]+x", result.stdout, re.MULTILINE)
    assert [name for name, *_ in recalls] == TYPES
    assert all(float(recall) > 0.8 for _, *both in recalls for recall in both)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.jsonl"]


@pytest.mark.parametrize("kind", TYPES)
def test_faiss_is_asked_for_the_very_results_that_the_store_gives(tmp_path: Path, kind: str) -> None:
    scene = make_scene(tmp_path, 2000, 16, 32)
    with build(scene, kind, 2000).opened() as store:
        scores, rows = cast("tuple[np.ndarray, np.ndarray]", index.faiss_search(store)(scene.queries))
        found = store.search(scene.queries, index.TOP_K)
    assert [[hit.row for hit in hits] for hits in found] == rows.tolist()
    assert np.allclose([[hit.score for hit in hits] for hits in found], scores)
