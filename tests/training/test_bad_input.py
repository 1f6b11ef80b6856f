"""What a run refuses, before any step where it can, and what a loss that is no number leaves behind."""

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import yaml
from transformers import AutoModelForCausalLM

from semiparametric.errors import CosupError, InputError, PairError
from tests.training.test_run import TINY, config, run
from training.settings import TrainSettings

pytestmark = [
    pytest.mark.bad_input,
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]


def with_segment(folder: Path, **changed: Any) -> None:
    """Change the first example's segment."""
    lines = (folder / "train.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    first["segments"][0] |= changed
    (folder / "train.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]))


def test_an_example_of_a_missing_passage_is_named(tmp_path: Path) -> None:
    path = config(tmp_path)
    with_segment(tmp_path, passage_id="moon")
    with pytest.raises(InputError, match=r"example 'e0': it cites the passage 'moon', which is not in the corpus. Add"):
        run(path, tmp_path / "out", pretrain={"steps": 0})


def test_a_segment_longer_than_the_context_is_named_with_its_length(tmp_path: Path) -> None:
    path = config(tmp_path)
    with_segment(tmp_path, text="hour " * 300)
    with pytest.raises(
        InputError, match=r"example 'e0': its training sequence has \d+ tokens, the limit is 200. Raise"
    ):
        run(path, tmp_path / "out", pretrain={"steps": 0})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"max_tokens": 300},
            r"setting max_tokens: it is 300, and Gen can tell only 256 positions apart",
        ),
        ({"hard_negatives": 2}, r"hard_negatives is 2, but no example names negatives.*cosup examples mine"),
        ({"co_supervision": {"steps": 1, "batch_size": 30}}, r"20 examples are fewer than one batch of 30"),
        ({"pretrain": {"steps": 1, "batch_size": 999}}, r"\d+ blocks of text are fewer than one batch of 999"),
        ({"leading_dimensions": [8, 8]}, "must be positive and ascending"),
        ({"leading_dimensions": [8, 32]}, "must lie below the dimension 32"),
        ({"encoder": "dual"}, "goes with supervision: separate"),
        ({"supervision": "shared", "base_embseq": "x"}, "base_embseq must be left out"),
        ({"pooling": "last_position"}, "train with last_token or mean"),
        ({"gradient_accumulation": 3}, "must be a multiple of gradient_accumulation=3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(CosupError, match=message):
        run(config(tmp_path, **changed), tmp_path / "out")


def test_examples_that_look_nothing_up_are_refused_for_a_stage_of_lookups(tmp_path: Path) -> None:
    path = config(tmp_path, pretrain={"steps": 0}, lookups={"steps": 1, "batch_size": 1}, held_out={})
    (tmp_path / "train.jsonl").write_text('{"id": "a", "question": "?", "segments": [{"text": "No."}]}\n')
    with pytest.raises(InputError, match="stage lookups: no training example cites a passage"):
        run(path, tmp_path / "out")


def test_a_reporter_that_is_not_installed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"setting report_to: wandb is not installed. Install it with `pip install"):
        run(config(tmp_path), tmp_path / "out", report_to=["wandb"])


def test_a_hub_name_that_cannot_be_reached_is_refused_with_the_local_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    path = config(tmp_path, base_gen="nobody/no-such-model")
    message = r"no local folder 'nobody/no-such-model', and as a name on the hub it cannot be reached.*name that local"
    with pytest.raises(PairError, match=message):
        run(path, tmp_path / "out")


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path, tiny_pair: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(tiny_pair / "gen", mixed)
    small = AutoModelForCausalLM.from_pretrained(mixed)
    small.resize_token_embeddings(100)
    small.save_pretrained(mixed)
    with pytest.raises(PairError, match=r"its tokenizer has \d+ tokens, its embedding table 100 rows"):
        run(config(tmp_path, base_gen=str(mixed)), tmp_path / "out")


def test_a_loss_that_is_no_number_stops_with_step_examples_and_checkpoint(tmp_path: Path) -> None:
    wild = {"steps": 9, "batch_size": 8, "learning_rate": 1e30, "warmup_steps": 2}
    path = config(tmp_path, pretrain={"steps": 0}, co_supervision=wild, save_steps=1, eval_steps=100)
    with pytest.raises(
        InputError, match=r"stage co_supervision, step \d: .*nan.*examples: e\d+, .*The last checkpoint"
    ):
        run(path, tmp_path / "out")
    stage = tmp_path / "out" / "stages" / "co_supervision"
    said = json.loads((stage / "nonfinite.json").read_text())
    assert len(said["examples"]) == 8
    assert set(said["examples"]) <= {f"e{n}" for n in range(20)}
    assert list(stage.glob("checkpoint-*")), "the last checkpoint is kept"
    assert not (tmp_path / "out" / "pair").exists()


def test_a_run_of_an_older_version_is_not_taken_for_another_one(tmp_path: Path) -> None:
    path, out = config(tmp_path), tmp_path / "out"
    with pytest.raises(CosupError, match=r"missing\.jsonl"):
        run(path, out, corpus=["missing.jsonl"])
    before = yaml.safe_load((out / "settings.yaml").read_text())
    for newer in ("supervision", "gather", "lora", "dimension"):
        del before[newer]
    (out / "settings.yaml").write_text(yaml.safe_dump(before))
    with pytest.raises(InputError, match=r"other settings \(corpus\)"):
        run(path, out)


def test_default_settings_leave_everything_new_off(tmp_path: Path) -> None:
    settings = TrainSettings.resolve({"out": tmp_path, "corpus": ["c"], "train": ["t"]})
    assert settings.supervision == "co-supervised"
    assert not settings.lora.rank
    assert settings.grad_cache_batch is None
    assert TINY["scratch"]["context_length"] == 256
