"""The paper's supervisions: what each stage moves, what the pair says about itself, that it can be used."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from semiparametric.embedding import embed_passages
from semiparametric.formats import read_passages
from semiparametric.pair import load_embseq, load_gen, read_spec
from semiparametric.query_text import load_query_encoder
from tests.training.test_run import config, run
from training.settings import TrainSettings
from training.stages import plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]

SHORT: dict[str, Any] = {
    "pretrain": {"steps": 0},
    "co_supervision": {"steps": 3, "batch_size": 8, "learning_rate": 3e-3, "warmup_steps": 0},
    "eval_steps": 3,
    "log_steps": 1,
}


def weights(out: Path, stage: str, part: str) -> dict[str, Tensor]:
    found = load_file(out / "stages" / stage / "model.safetensors")
    return {name: weight for name, weight in found.items() if name.startswith(f"{part}.")}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def figures(out: Path) -> dict[float, set[str]]:
    """The names in the log of each stage."""
    names: dict[float, set[str]] = {}
    for line in json.loads((out / "log.json").read_text()):
        names.setdefault(line["stage"], set()).update(line)
    return names


@pytest.mark.parametrize("encoder", ["shared", "dual"])
def test_separate_trains_gen_by_tokens_then_the_encoder_by_lookups(tmp_path: Path, encoder: str) -> None:
    out = tmp_path / "out"
    lookups = {"steps": 2, "batch_size": 8, "warmup_steps": 0}
    pair = run(config(tmp_path, **SHORT, supervision="separate", encoder=encoder, lookups=lookups), out)
    assert same(weights(out, "gen", "gen"), weights(out, "encoder", "gen"))
    assert same(weights(out, "lookups", "gen"), weights(out, "encoder", "gen"))
    for part in ("embseq", "query")[: 1 + (encoder == "dual")]:
        assert not same(weights(out, "gen", part), weights(out, "lookups", part))
        assert not same(weights(out, "lookups", part), weights(out, "encoder", part))
    named = figures(out)
    assert "eval_lamps_ntp" in named[1]
    assert "nsp" not in named[1]
    assert "eval_lamps_recall@1" in named[3]
    assert "eval_lamps_ntp" not in named[3]
    spec = read_spec(pair)
    assert (spec.query, spec.query_folder) == ("text", "embseq" if encoder == "shared" else "query")
    assert load_query_encoder(pair).encode(["How long does lamp 3 burn?"]).shape == (1, 32)
    assert load_gen(pair).spec.query == "text"


def test_nsp_only_moves_no_head_and_counts_no_tokens(tmp_path: Path) -> None:
    out = tmp_path / "out"
    pair = run(config(tmp_path, **SHORT, supervision="nsp-only"), out)
    log = [line for line in json.loads((out / "log.json").read_text()) if "loss" in line]
    assert all(line["loss"] == pytest.approx(line["nsp"], rel=1e-5) for line in log)
    assert read_spec(pair).query == "state"


def test_shared_trains_one_model_that_serves_at_leading_dimensions(tmp_path: Path) -> None:
    pair = run(config(tmp_path, **SHORT, supervision="shared", leading_dimensions=[8, 16]), tmp_path / "out")
    assert not (pair / "embseq").exists()
    spec = read_spec(pair)
    assert spec.shared
    assert spec.leading_dimensions == (8, 16)
    assert embed_passages(load_embseq(pair), list(read_passages(tmp_path / "corpus.jsonl"))).shape == (20, 32)


def test_a_smaller_sequence_space_is_reached_by_two_projections(tmp_path: Path) -> None:
    pair = run(config(tmp_path, **SHORT, dimension=12), tmp_path / "out")
    projections = load_file(pair / "projection.safetensors")
    assert {name: tuple(weight.shape) for name, weight in projections.items()} == {
        "query.weight": (12, 32),
        "sequence.weight": (12, 32),
    }


def test_chunks_and_hard_negatives_train_the_same_run_as_a_batch_at_once(tmp_path: Path) -> None:
    path = config(tmp_path, **SHORT, hard_negatives=1)
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    for number, line in enumerate(lines):
        line["segments"][0]["negatives"] = [f"lamp{(number + 7) % 20}"]
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    curves = []
    for name, chunk in (("whole", None), ("chunks", 3)):
        run(path, tmp_path / name, grad_cache_batch=chunk)
        log = json.loads((tmp_path / name / "log.json").read_text())
        curves.append([line["loss"] for line in log if "loss" in line])
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


def test_the_stages_of_each_supervision(tmp_path: Path) -> None:
    def stages(**given: Any) -> list[tuple[str, str, bool]]:
        settings = TrainSettings.resolve({"out": tmp_path, **given}, config(tmp_path))
        return [(stage.name, stage.objective.supervision, stage.by_text) for stage in plan(settings)]

    both = [("pretrain", "ntp", False), ("lookups", "nsp", False), ("co_supervision", "co-supervised", False)]
    assert stages() == both
    assert stages(supervision="shared") == both
    assert stages(supervision="nsp-only") == [*both[:2], ("co_supervision", "nsp", False)]
    assert stages(supervision="separate") == [
        both[0],
        ("gen", "ntp", False),
        ("lookups", "nsp", True),
        ("encoder", "nsp", True),
    ]
