"""Whole experiments at the smallest size: what they leave, what they do not do twice, and what a failing cell costs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from cosup.experiment.cell import curves_of
from cosup.experiment.processes import Place, places
from cosup.experiment.run import run_experiment
from evaluation.results import Report
from semiparametric.errors import CosupError
from semiparametric.formats import read_examples, read_passages
from tests.cosup.experiments import TRAIN, read_experiment, write_experiment


def run(path: Path, **given: Any) -> Report:
    return run_experiment(read_experiment(path, **given), Console(quiet=True))


def changed(path: Path, **values: Any) -> Path:
    """The same experiment with other settings at the top."""
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text("utf-8")) | values, sort_keys=False), "utf-8")
    return path


def trained_at(folder: Path, name: str) -> int:
    return (folder / "out" / "cells" / name / "trained.json").stat().st_mtime_ns


@pytest.mark.slow
@pytest.mark.system
def test_two_cells_end_as_a_report_and_are_not_done_twice(tmp_path: Path) -> None:
    path = write_experiment(tmp_path, grid={"supervisions": ["co-supervised", "nsp-only"]})
    report = run(path)
    out = tmp_path / "out"
    assert [cell.name for cell in report.cells] == ["co-supervised-seed0", "nsp-only-seed0"]
    assert not report.failures
    wrote, looked_up = (cell.sets["lamps"] for cell in report.cells)
    assert wrote.questions == looked_up.questions == 6
    assert (wrote.answered, looked_up.answered) == (2, 0)
    assert wrote.f1 is not None
    assert looked_up.f1 is None
    assert "cannot write" in looked_up.note
    assert report.bm25["lamps"].questions == 6
    assert {"ntp", "nsp", "eval_lamps_recall@1"} <= report.cells[0].curves.keys()
    for name in ("report.md", "report.json", "bars.png", "curves.png", "lambda.png"):
        assert (out / name).stat().st_size > 0
    assert len((out / "cells" / "co-supervised-seed0" / "predictions-lamps.jsonl").read_text().splitlines()) == 6
    assert not list(out.glob("cells/*/indexes"))  # gigabytes at scale; nobody asked to keep them
    assert not list(out.glob("cells/*/train/stages"))

    # Again: nothing is trained, nothing measured.
    results = {file: file.stat().st_mtime_ns for file in out.glob("cells/*/result.json")}
    assert run(path).cells == report.cells
    assert {file: file.stat().st_mtime_ns for file in results} == results


@pytest.mark.slow
@pytest.mark.system
def test_only_the_cells_whose_settings_changed_are_trained_again(tmp_path: Path) -> None:
    stage = TRAIN["co_supervision"]
    variants = {"one": {"co_supervision": stage | {"steps": 2}}, "two": {"co_supervision": stage | {"steps": 2}}}
    path = write_experiment(tmp_path, grid={"supervisions": []}, variants=variants)
    first = run(path)
    before = {name: trained_at(tmp_path, name) for name in ("one-seed0", "two-seed0")}
    # Another learning rate for one of them, and other limits of answers for both.
    variants["two"] = {"co_supervision": stage | {"steps": 2, "learning_rate": 1e-3}}
    second = run(changed(path, variants=variants, decoding={"max_new_tokens": 5}))
    assert not second.failures
    assert [old.digest != new.digest for old, new in zip(first.cells, second.cells, strict=True)] == [True, True]
    assert trained_at(tmp_path, "one-seed0") == before["one-seed0"]
    assert trained_at(tmp_path, "two-seed0") > before["two-seed0"]
    # The pair that was kept finds what it found before.
    assert second.cells[0].sets["lamps"].recall_at_5 == first.cells[0].sets["lamps"].recall_at_5


@pytest.mark.slow
@pytest.mark.system
def test_a_cell_that_fails_is_named_and_the_others_are_reported(tmp_path: Path) -> None:
    variants = {"broken": {"base_gen": str(tmp_path / "nowhere")}}
    path = write_experiment(tmp_path, variants=variants)
    ended = subprocess.run(
        [sys.executable, "-m", "cosup", "experiment", str(path)], capture_output=True, text=True, timeout=280
    )
    assert ended.returncode == 1, ended.stderr
    assert "Failed: broken-seed0: the model" in ended.stderr
    report = Report.model_validate(
        {k: v for k, v in json.loads((tmp_path / "out" / "report.json").read_text()).items() if k != "summary"}
    )
    assert [cell.name for cell in report.cells] == ["co-supervised-seed0"]
    assert "cannot be loaded" in report.failures["broken-seed0"]
    page = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "## Cells that failed\n\n- `broken-seed0`: the model" in page
    # Mended, the experiment goes on with that cell alone.
    before = trained_at(tmp_path, "co-supervised-seed0")
    assert not run(changed(path, variants={"broken": {}})).failures
    assert trained_at(tmp_path, "co-supervised-seed0") == before


@pytest.mark.slow
@pytest.mark.system
def test_ended_by_a_signal_it_takes_its_cells_along_and_goes_on_when_run_again(tmp_path: Path) -> None:
    path = write_experiment(tmp_path)
    child = subprocess.Popen(
        [sys.executable, "-m", "cosup", "experiment", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    log = tmp_path / "out" / "cells" / "co-supervised-seed0" / "log.txt"
    deadline = time.monotonic() + 120
    while not log.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert log.exists()
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) != 0
    assert cells_under_way(tmp_path) == []
    assert not run(path).failures


def cells_under_way(folder: Path) -> list[str]:
    """Command lines of processes that work on cells of this experiment."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it has ended meanwhile
            continue
        if str(folder) in line and "cosup.experiment.cell" in line:
            found.append(line)
    return found


def test_a_cell_that_was_killed_says_by_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_experiment(tmp_path)
    killer = tmp_path / "python"
    killer.write_text("#!/bin/sh\nkill -KILL $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killer))
    report = run(path)
    assert report.cells == []
    assert "ended by SIGKILL; the system may have run out of memory" in report.failures["co-supervised-seed0"]


def test_a_cell_that_another_process_works_on_is_refused(tmp_path: Path) -> None:
    import fcntl

    from cosup.experiment.cell import run_cell
    from cosup.experiment.data import Digests
    from cosup.experiment.grid import cells_of
    from cosup.experiment.order import order_of

    settings = read_experiment(write_experiment(tmp_path))
    (cell,) = cells_of(settings)
    folder = tmp_path / "out" / "cells" / cell.name
    folder.mkdir(parents=True)
    (folder / "cell.json").write_text(order_of(cell, settings, Digests()).model_dump_json())
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CosupError, match="another process works on this cell"):
            run_cell(folder)


@pytest.mark.slow
def test_data_is_made_of_installed_documentation_once(tmp_path: Path) -> None:
    from cosup.experiment.data import prepare

    docs = {"package": ["safetensors", "tokenizers"], "questions_per_passage": 2, "num_known": 5, "num_unseen": 0}
    docs |= {"test_percent": 0, "dev_percent": 0}
    settings = read_experiment(write_experiment(tmp_path, prepare={"docs": docs}))
    prepare(settings)
    folder = tmp_path / "out" / "data" / "docs"
    ids = {passage.id for passage in read_passages(folder / "corpus.jsonl.gz")}
    examples = list(read_examples(folder / "known.jsonl.gz"))
    assert len(examples) == 5
    assert {segment.passage_id for example in examples for segment in example.cited} <= ids
    made = (folder / "corpus.jsonl.gz").stat().st_mtime_ns
    prepare(settings)
    assert (folder / "corpus.jsonl.gz").stat().st_mtime_ns == made


def test_curves_count_steps_through_all_stages() -> None:
    log = [
        {"stage": 0.0, "step": 5.0, "ntp": 3.0},
        {"stage": 0.0, "step": 10.0, "ntp": 2.0, "learning_rate": 0.1},
        {"stage": 2.0, "step": 5.0, "ntp": 1.5, "nsp": float("nan")},
        {"stage": 2.0, "step": 5.0, "eval_dev_recall@1": 0.5},
    ]
    assert curves_of(log) == {"ntp": [(5.0, 3.0), (10.0, 2.0), (15.0, 1.5)], "eval_dev_recall@1": [(15.0, 0.5)]}


def test_without_gpus_one_cell_runs_at_a_time_and_jobs_share_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert places(None, gpus_wanted=False) == [Place(None, 8)]
    shared = places(3, gpus_wanted=False)
    assert [place.environment for place in shared] == [{"OMP_NUM_THREADS": "2"}] * 3


def test_each_gpu_gets_one_cell_and_more_jobs_go_round(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert [place.environment for place in places(None, gpus_wanted=True)] == [
        {"CUDA_VISIBLE_DEVICES": "4"},
        {"CUDA_VISIBLE_DEVICES": "6"},
    ]
    assert [place.gpu for place in places(3, gpus_wanted=True)] == ["4", "6", "4"]
