"""Indexes of pairs that project, share one model or look up with text, and of leading dimensions alone."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from index_builder.build import build_index
from index_builder.cli import index_app
from index_builder.settings import BuildSettings
from semiparametric.embedding import embed_passages
from semiparametric.errors import InputError
from semiparametric.formats import Passage, write_jsonl
from semiparametric.pair import load_embseq
from semiparametric.store import Store
from tests.pair_kinds import KINDS, Kind, save_pair_of

PASSAGES = [Passage(id=f"p{n}", title=f"Day {n}", text=f"The lamp burned {n} hours. " * (n % 4 + 1)) for n in range(20)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    write_jsonl(path, PASSAGES)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_of_leading_dimensions_finds_each_passage_of_every_kind_of_pair(
    tmp_path: Path, corpus: Path, kind: Kind
) -> None:
    spec = save_pair_of(tmp_path / "pair", kind)
    settings = BuildSettings(
        pair=tmp_path / "pair", corpus=corpus, out=tmp_path / "index", dimension=8, shard_passages=6
    )
    manifest = build_index(settings)
    assert (manifest.index.dimension, manifest.build.settings["dimension"]) == (8, 8)
    assert manifest.fingerprint == spec.fingerprint
    vectors = embed_passages(load_embseq(tmp_path / "pair"), PASSAGES, dimension=8)
    with Store.open(tmp_path / "index", fingerprint=spec.fingerprint) as store:
        assert store.dimension == 8
        for row, hits in enumerate(store.search(vectors, 1)):
            assert hits[0].score == pytest.approx(1.0, abs=1e-5)
            np.testing.assert_allclose(vectors[hits[0].row], vectors[row], atol=1e-3)


def test_without_a_dimension_all_of_them_are_kept(tmp_path: Path, corpus: Path) -> None:
    spec = save_pair_of(tmp_path / "pair", "projected")
    manifest = build_index(BuildSettings(pair=tmp_path / "pair", corpus=corpus, out=tmp_path / "index"))
    assert manifest.index.dimension == spec.dimension
    same = BuildSettings(pair=tmp_path / "pair", corpus=corpus, out=tmp_path / "index", dimension=spec.dimension)
    assert build_index(same).index.dimension == spec.dimension


def test_an_unfinished_build_of_another_dimension_is_not_gone_on_with(
    tmp_path: Path, corpus: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_pair_of(tmp_path / "pair", "plain")
    whole = BuildSettings(pair=tmp_path / "pair", corpus=corpus, out=tmp_path / "index", shard_passages=5)
    with monkeypatch.context() as patch:
        patch.setattr("index_builder.build.VersionWriter.write_vectors", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            build_index(whole)
    assert build_index(whole.model_copy(update={"dimension": 4})).index.dimension == 4
    assert "an unfinished build had another dimension: starting afresh" in caplog.text


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_dimension_that_was_not_trained_for_is_refused_before_the_index_is_touched(
    tmp_path: Path, corpus: Path
) -> None:
    save_pair_of(tmp_path / "pair", "plain")
    with pytest.raises(InputError, match=r"its 16 leading dimensions alone\. Choose one of 4, 8, 32, or train with"):
        build_index(BuildSettings(pair=tmp_path / "pair", corpus=corpus, out=tmp_path / "index", dimension=16))
    assert not (tmp_path / "index").exists()
    given = ["--pair", str(tmp_path / "pair"), "--corpus", str(corpus), "--out", str(tmp_path / "index")]
    refused = CliRunner().invoke(index_app, ["build", *given, "--dimension", "64"])
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    assert "dimension: the pair was not trained to serve with its 64 leading dimensions alone" in refused.stderr
    zero = CliRunner().invoke(index_app, ["build", *given, "--dimension", "0"])
    assert (zero.exit_code, "dimension: Input should be greater than or equal to 1" in zero.stderr) == (2, True)
