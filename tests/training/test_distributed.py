"""Several processes train the same run as one: the same losses step by step, also after a kill."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from semiparametric.errors import InputError
from semiparametric.pair import read_spec
from tests.training.test_run import config, run
from training import distributed
from training.distributed import share

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "cosup"]

STAGE = {"steps": 8, "batch_size": 8, "learning_rate": 3e-3, "warmup_steps": 1, "nsp_weight": 1.0, "cut_share": 0.5}

CURVES: dict[str, Any] = {"gather": "all", "log_steps": 1, "co_supervision": STAGE, "eval_steps": 4}


def curve(out: Path) -> list[float]:
    """Every figure of a run's log that belongs to a step, in order; not those of one process alone."""
    log = json.loads((out / "log.json").read_text())
    names = [{name for name in line if not name.startswith("train_") and name != "padding"} for line in log]
    return [line[name] for line, kept in zip(log, names, strict=True) for name in sorted(kept)]


def start(path: Path, out: Path, *options: str) -> subprocess.Popen[bytes]:
    """Two processes on the CPU."""
    command = [*TORCHRUN, "train", str(path), "--out", str(out), *options]
    log = (out.parent / f"{out.name}.txt").open("wb")
    return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill torchrun and its workers, which outlive it."""
    workers = psutil.Process(child.pid).children(recursive=True)
    for process in (child, *workers):
        os.kill(process.pid, signal.SIGKILL)
    child.wait()
    psutil.wait_procs(workers)


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(900)
def test_two_processes_train_the_run_of_one(tmp_path: Path) -> None:
    path = config(tmp_path, **CURVES)
    run(path, tmp_path / "one")
    child = start(path, tmp_path / "two")
    assert child.wait() == 0, (tmp_path / "two.txt").read_text()[-2000:]
    assert curve(tmp_path / "two") == pytest.approx(curve(tmp_path / "one"), rel=1e-4)
    assert read_spec(tmp_path / "two" / "pair").dimension == 32
    assert (tmp_path / "two.txt").read_text().count("The pair is in") == 1, "rank 0 alone says so"
    events = list((tmp_path / "two" / "tensorboard" / "co_supervision").iterdir())
    assert len(events) == 1, "rank 0 alone writes logs"


@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(900)
def test_a_sharded_run_killed_in_training_resumes_as_the_run_of_one_process(tmp_path: Path) -> None:
    path, out = config(tmp_path, **CURVES), tmp_path / "shards"
    whole = run(path, tmp_path / "one")
    child = start(path, out, "--fsdp")
    checkpoint = out / "stages" / "co_supervision" / "checkpoint-4"
    deadline = time.monotonic() + 400
    while not (checkpoint / "trainer_state.json").exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    kill(child)
    assert not (out / "pair").exists(), "the run had ended before it could be killed"
    shards = list((checkpoint / "pytorch_model_fsdp_0").glob("*.distcp"))
    assert len(shards) == 2, "each process writes its own shard"
    child = start(path, out, "--fsdp")
    assert child.wait() == 0, (tmp_path / "shards.txt").read_text()[-2000:]
    assert "goes on from checkpoint-" in (tmp_path / "shards.txt").read_text()
    assert curve(out) == pytest.approx(curve(tmp_path / "one"), rel=1e-3)
    expected, found = load_file(whole / "gen/model.safetensors"), load_file(out / "pair/gen/model.safetensors")
    assert expected.keys() == found.keys()
    assert all(expected[name].shape == found[name].shape for name in expected)


def test_a_batch_that_processes_cannot_share_evenly_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "num_ranks", lambda: 4)
    assert share(64, 2) == 8
    with pytest.raises(InputError, match="batch_size is 30, which 4 processes x 2 accumulation steps cannot share"):
        share(30, 2)


def test_sharding_in_one_process_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"setting fsdp: there is one process.*torchrun --nproc-per-node"):
        run(config(tmp_path, fsdp=True), tmp_path / "out")
