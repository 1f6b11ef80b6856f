"""Adapters: they start as nothing, train alone, and merge into ordinary weights."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaForCausalLM, PreTrainedModel

from semiparametric.embedding import sequence_states
from semiparametric.errors import InputError
from tests.conftest import tiny_llama_config
from training.lora import add_adapters, four_bits, merge
from training.settings import LoraSettings

IDS = torch.tensor([[1, 5, 9, 48, 49, 2]])


def models() -> dict[str, PreTrainedModel]:
    torch.manual_seed(0)
    untied = tiny_llama_config(50)
    untied.tie_word_embeddings = False
    gpt2 = GPT2Config(vocab_size=50, n_embd=32, n_layer=2, n_head=2, n_positions=64, bos_token_id=1, eos_token_id=2)
    return {
        "tied": LlamaForCausalLM(tiny_llama_config(50)),
        "untied": LlamaForCausalLM(untied),
        "gpt2": GPT2LMHeadModel(gpt2),
    }


def states_and_logits(model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    model.eval()
    states = sequence_states(model.base_model, IDS, torch.ones_like(IDS))
    return states, model.get_output_embeddings()(states)


def tables(model: PreTrainedModel) -> tuple[Tensor, Tensor]:
    """Copies of the embedding table and of the head's weights."""
    found = [model.get_input_embeddings(), model.get_output_embeddings()]
    return found[0].weight.detach().clone(), found[1].weight.detach().clone()


@pytest.mark.parametrize("kind", ["tied", "untied", "gpt2"])
def test_adapters_start_as_nothing_and_merge_into_the_same_model(kind: str) -> None:
    model = models()[kind]
    names = list(model.state_dict())
    before = [part.detach() for part in states_and_logits(model)]
    adapters = add_adapters(model, LoraSettings(rank=2), new_tokens=[48, 49])
    for found, expected in zip(states_and_logits(model), before, strict=True):
        torch.testing.assert_close(found, expected)
    with torch.no_grad():
        for weight in (weight for weight in model.parameters() if weight.requires_grad):
            weight.add_(torch.randn_like(weight), alpha=0.1)
    adapted = [part.detach() for part in states_and_logits(model)]
    assert not torch.allclose(adapted[0], before[0], atol=1e-3)
    merged = merge(adapters)
    assert list(merged.state_dict()) == names, "the pair holds an ordinary model"
    for found, expected in zip(states_and_logits(merged), adapted, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["tied", "untied", "gpt2"])
def test_of_the_embeddings_only_those_of_new_tokens_move(kind: str) -> None:
    model = models()[kind]
    before, head = tables(model)
    adapters = add_adapters(model, LoraSettings(rank=2), new_tokens=[48, 49])
    states, logits = states_and_logits(model)
    (logits.square().sum() + states.sum()).backward()
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    optimizer.step()
    merged = merge(adapters)
    for table, old in zip(tables(merged), (before, head), strict=True):
        moved = torch.ne(table, old).any(1).nonzero().flatten().tolist()
        assert moved == [48, 49]


def test_a_layer_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match=r"setting lora.target_modules: .*no_such_layer"):
        add_adapters(models()["tied"], LoraSettings(rank=2, target_modules=["no_such_layer"]))


def test_four_bits_without_bitsandbytes_or_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, Any] = {"bitsandbytes": None}
    monkeypatch.setattr(importlib.util, "find_spec", found.get)
    with pytest.raises(InputError, match=r"need bitsandbytes, which is not installed. Install it with `pip install"):
        four_bits()
    found["bitsandbytes"] = object()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="weights in 4 bits need a GPU"):
        four_bits()


def test_four_bits_without_adapters_are_refused() -> None:
    with pytest.raises(ValueError, match="trains adapters only: set rank"):
        LoraSettings(load_in_4bit=True)


def test_an_adapted_run_keeps_only_what_it_trains_in_checkpoints(tmp_path: Path) -> None:
    from safetensors import safe_open

    from semiparametric.pair import load_gen
    from tests.training.test_run import config, run

    stage = {"steps": 2, "batch_size": 4, "learning_rate": 1e-2, "warmup_steps": 0}
    path = config(tmp_path, pretrain={"steps": 0}, co_supervision=stage, lora={"rank": 2}, gradient_checkpointing=True)
    pair = run(path, tmp_path / "out")
    with safe_open(tmp_path / "out/stages/co_supervision/model.safetensors", "pt") as file:
        names = list(file.keys())
    assert names
    assert all("lora_" in name or "trainable_tokens" in name for name in names)
    assert not any("lora_" in name for name in load_gen(pair).model.state_dict())
