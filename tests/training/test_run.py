"""Whole training runs at the smallest size: what they leave behind, what they refuse, what a kill costs (nothing)."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from semiparametric.embedding import embed_passages
from semiparametric.errors import CosupError, InputError
from semiparametric.formats import Example, Passage, Segment, read_passages, write_jsonl
from semiparametric.pair import load_embseq, load_gen, read_spec
from semiparametric.spec import Projection
from training.run import train
from training.settings import TrainSettings

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")

TINY: dict[str, Any] = {
    "scratch": {
        "vocab_size": 400,
        "hidden_size": 32,
        "intermediate_size": 64,
        "gen_layers": 2,
        "embseq_layers": 1,
        "heads": 2,
        "context_length": 256,
    },
    "passage_max_tokens": 48,
    "max_tokens": 200,
    "pooling": "mean",
    "similarity": "cosine",
    "temperature": 0.1,
    "pretrain": {
        "steps": 4,
        "block_tokens": 40,
        "repeat_share": 0.5,
        "batch_size": 4,
        "learning_rate": 3e-3,
        "warmup_steps": 1,
    },
    "co_supervision": {"steps": 12, "batch_size": 8, "learning_rate": 3e-3, "warmup_steps": 1, "nsp_weight": 1.0},
    "device": "cpu",
    "threads": 1,
    "eval_steps": 6,
    "save_steps": 2,
    "log_steps": 2,
}


def config(folder: Path, **changed: Any) -> Path:
    """A corpus of twenty lamps, questions about them, and the YAML file of a tiny run."""
    passages = [Passage(id=f"lamp{n}", title=f"Lamp {n}", text=f"Lamp {n} burns {n * 3} hours.") for n in range(20)]
    examples = [
        Example(
            id=f"e{n}",
            task="lamp",
            question=f"How long does lamp {n} burn?",
            answers=[f"{n * 3} hours"],
            segments=[Segment(text=f"{n * 3} hours.", passage_id=f"lamp{n}")],
        )
        for n in range(20)
    ]
    write_jsonl(folder / "corpus.jsonl", passages)
    write_jsonl(folder / "train.jsonl", examples)
    settings = TINY | {
        "corpus": [str(folder / "corpus.jsonl")],
        "train": [str(folder / "train.jsonl")],
        "held_out": {"lamps": str(folder / "train.jsonl")},
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings | changed))
    return path


def run(path: Path, out: Path, **given: Any) -> Path:
    return train(TrainSettings.resolve({"out": out, **given}, path))


@pytest.mark.slow
def test_a_run_leaves_a_pair_a_plot_and_its_log(tmp_path: Path) -> None:
    pair = run(config(tmp_path), tmp_path / "out")
    spec = read_spec(pair)
    assert spec.pooling == "mean"
    assert spec.dimension == 32
    assert spec.training["co_supervision"]["steps"] == 12
    gen, embseq = load_gen(pair), load_embseq(pair)
    assert gen.model.config.num_hidden_layers == 2
    assert embed_passages(embseq, list(read_passages(tmp_path / "corpus.jsonl"))).shape == (20, 32)
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert list((tmp_path / "out" / "tensorboard").rglob("events.*"))
    log = json.loads((tmp_path / "out" / "log.json").read_text())
    names = {name for line in log for name in line}
    assert {"ntp", "nsp", "accuracy", "eval_lamps_ntp", "eval_lamps_recall@1", "eval_lamps_recall@5"} <= names


def test_embseq_begins_as_gen_is_after_its_pretraining(tmp_path: Path) -> None:
    pair = run(config(tmp_path, co_supervision={"steps": 0}, eval_steps=100), tmp_path / "out")
    gen = dict(load_gen(pair).model.base_model.named_parameters())
    for name, weight in load_embseq(pair).model.named_parameters():
        assert torch.equal(weight, gen[name]), name


@pytest.mark.slow
def test_training_learns_which_passage_belongs_to_which_question(tmp_path: Path) -> None:
    stage = {"steps": 120, "batch_size": 20, "learning_rate": 5e-3, "warmup_steps": 5, "nsp_weight": 1.0}
    run(config(tmp_path, co_supervision=stage, eval_steps=40, save_steps=200), tmp_path / "out")
    log = json.loads((tmp_path / "out" / "log.json").read_text())
    recall = [line["eval_lamps_recall@1"] for line in log if "eval_lamps_recall@1" in line]
    losses = [line["ntp"] for line in log if "ntp" in line and line["stage"] == 2]
    assert recall[-1] >= 0.9
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
@pytest.mark.system
def test_a_run_killed_in_training_resumes_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    path = config(tmp_path)
    whole = run(path, tmp_path / "whole")
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "cosup", "train", str(path), "--out", str(out)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = out / "stages" / "co_supervision" / "checkpoint-6" / "trainer_state.json"
    deadline = time.monotonic() + 240
    while not checkpoint.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL, "the run had ended before it could be killed"
    assert not (out / "pair").exists()
    resumed = run(path, out)
    for part in ("gen", "embseq"):
        expected, found = load_file(whole / part / "model.safetensors"), load_file(resumed / part / "model.safetensors")
        assert expected.keys() == found.keys()
        assert all(bool((expected[name] == found[name]).all()) for name in expected)
    assert read_spec(whole).fingerprint == read_spec(resumed).fingerprint


def test_a_folder_with_a_run_of_other_settings_is_refused(tmp_path: Path) -> None:
    path, out = config(tmp_path), tmp_path / "out"
    out.mkdir()
    (out / "settings.yaml").write_text("seed: 5\n")
    with pytest.raises(InputError, match=r"other settings .*seed.*--restart"):
        run(path, out)


def test_all_wrong_settings_are_named_together(tmp_path: Path) -> None:
    path = config(tmp_path, temperature=-1, pooling="max", lamda=3)
    with pytest.raises(InputError) as caught:
        run(path, tmp_path / "out")
    for name in ("temperature", "pooling", "lamda"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"corpus": ["missing.jsonl"]}, "missing.jsonl: no such file"),
        ({"base_gen": "/nowhere/model"}, "the model '/nowhere/model' cannot be loaded .*local folder"),
        ({"scratch": TINY["scratch"] | {"embseq_layers": 3}}, "3 is more than Gen's 2 layers"),
    ],
)
def test_what_cannot_be_loaded_is_said_with_a_remedy(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(CosupError, match=message):
        run(config(tmp_path, **changed), tmp_path / "out")


def test_no_examples_and_no_passages_are_refused(tmp_path: Path) -> None:
    path = config(tmp_path)
    (tmp_path / "train.jsonl").write_text("")
    with pytest.raises(InputError, match="there are no training examples"):
        run(path, tmp_path / "out")
    (tmp_path / "corpus.jsonl").write_text("")
    with pytest.raises(InputError, match="there are no passages"):
        run(path, tmp_path / "out2", restart=True)


@pytest.mark.slow
def test_gen_and_embseq_can_start_from_local_folders(tmp_path: Path, tiny_pair: Path) -> None:
    bases = {"base_gen": str(tiny_pair / "gen"), "base_embseq": str(tiny_pair / "embseq")}
    stage = {"steps": 2, "batch_size": 4, "learning_rate": 1e-3, "warmup_steps": 1}
    pair = run(config(tmp_path, **bases, pretrain={"steps": 0}, co_supervision=stage), tmp_path / "out")
    assert read_spec(pair).control == read_spec(tiny_pair).control


@pytest.mark.slow
def test_models_of_different_hidden_size_meet_by_a_projection(tmp_path: Path, tiny_pair: Path) -> None:
    scratch = TINY["scratch"] | {"hidden_size": 16}
    pair = run(config(tmp_path, scratch=scratch, base_embseq=str(tiny_pair / "embseq")), tmp_path / "out")
    spec = read_spec(pair)
    assert spec.dimension == 16
    assert spec.projection == Projection(query=False, sequence=True)
    assert embed_passages(load_embseq(pair), list(read_passages(tmp_path / "corpus.jsonl"))).shape == (20, 16)
