"""`cosup index tune`: it measures what is served, publishes another setting only where one is better, and draws."""

import re
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from typer.testing import CliRunner

from cosup.cli import app
from index_builder.tune import TuneReport, tune
from index_builder.tune_settings import TuneSettings
from semiparametric.errors import InputError, StoreError
from semiparametric.store import Store, current_version
from semiparametric.store.layout import version_folder
from tests.semiparametric.stores import build, extend, passages
from tests.semiparametric.vector_parts import clustered_vectors

COUNT = 1200
VECTORS = clustered_vectors(COUNT)
LISTS = "ivf-flat"  # tests/semiparametric/stores.py builds it with an ivf_nprobe of 8


def tuned(index: Path, target_recall: float | None = None, *, dry_run: bool = False) -> TuneReport:
    return tune(TuneSettings(index=index, target_recall=target_recall, dry_run=dry_run))


def test_a_cheaper_setting_that_suffices_is_published_and_searches_use_it(tmp_path: Path) -> None:
    build(tmp_path, passages(COUNT), VECTORS, LISTS)
    report = tuned(tmp_path, 0.9)
    assert report.before == 8
    assert report.chosen.value is not None
    assert report.chosen.value < 8
    assert report.reached
    with Store.open(tmp_path) as store:
        assert (store.version, report.published) == (2, 2)
        summary = store.manifest.index
        assert summary.index_parameters["ivf_nprobe"] == report.chosen.value
        assert (summary.recall_at_10, summary.target_recall) == (report.chosen.recall_at_10, 0.9)
        assert summary.sweep == [entry.measured for entry in report.sweep]
        assert len(store) == COUNT
    files = [version_folder(tmp_path, number) / "index.faiss" for number in (1, 2)]
    assert files[0].samefile(files[1])


def test_nothing_is_published_where_the_choice_stays(tmp_path: Path) -> None:
    build(tmp_path, passages(COUNT), VECTORS, LISTS)
    tuned(tmp_path, 0.9)
    again = tuned(tmp_path)
    assert (again.target_recall, again.published, current_version(tmp_path)) == (0.9, None, 2)
    assert f"ivf_nprobe stays {again.before}; nothing was published" in str(again)


def test_a_dry_run_publishes_nothing_but_says_and_draws_all(tmp_path: Path) -> None:
    build(tmp_path, passages(COUNT), VECTORS, LISTS)
    report = tuned(tmp_path, 0.9, dry_run=True)
    assert (report.published, current_version(tmp_path)) == (None, 1)
    assert report.picture == tmp_path / "tradeoff.png"
    assert mpl.image.imread(report.picture).shape[2] in (3, 4)
    table = str(report).splitlines()
    assert re.fullmatch(r" +ivf_nprobe  recall@1  recall@10  recall@100  ms per query", table[0])
    assert len(table) == len(report.sweep) + 3
    assert sum("<- chosen" in line for line in table) == 1


def test_the_best_setting_is_published_where_none_reaches_the_target(tmp_path: Path) -> None:
    build(tmp_path, passages(COUNT), VECTORS, "ivf-pq", keep_vectors=True)
    report = tuned(tmp_path, 1.0)
    best = max(entry.measured.recall_at_10 for entry in report.sweep)
    assert report.chosen.recall_at_10 == best
    assert report.reached == (best == 1.0)
    assert report.reached or "none reaches the target recall of 1" in str(report)


def test_an_index_with_deleted_and_added_passages_is_measured_as_it_is_searched(tmp_path: Path) -> None:
    build(tmp_path, passages(COUNT), VECTORS, LISTS)
    extend(tmp_path, [], None, [f"p{number}" for number in range(0, COUNT, 3)])
    report = tuned(tmp_path, 0.9)
    assert report.reached
    with Store.open(tmp_path) as store:
        assert (store.version, len(store)) == (3, COUNT - COUNT // 3)


def test_an_exact_index_has_nothing_to_tune(tmp_path: Path) -> None:
    build(tmp_path, passages(50), VECTORS[:50])
    report = tuned(tmp_path)
    assert (report.search_setting, report.published) == (None, None)
    assert "its index type has no search setting to choose" in str(report)
    assert report.picture.is_file()


def test_an_index_that_did_not_keep_its_vectors_is_refused(tmp_path: Path) -> None:
    build(tmp_path, passages(COUNT), VECTORS, "ivf-sq8", keep_vectors=False)
    with pytest.raises(StoreError, match=r"did not keep its vectors.*Build it again with keep_vectors"):
        tuned(tmp_path)


def test_a_folder_without_an_index_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no index is published here"):
        tuned(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_drawing_library_is_said_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "index_builder.tune_picture", raising=False)
    with pytest.raises(InputError, match=r"the picture cannot be drawn.*Install matplotlib"):
        tuned(tmp_path)


def test_the_command_prints_the_table_and_what_came_of_it(tmp_path: Path) -> None:
    build(tmp_path, passages(COUNT), VECTORS, LISTS)
    shown = CliRunner().invoke(app, ["index", "tune", str(tmp_path), "--target-recall", "0.9"])
    assert shown.exit_code == 0, shown.output
    assert re.search(r"ivf_nprobe 8 -> \d+; version 2 is served", shown.output)
