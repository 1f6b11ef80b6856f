"""A LoRA adapter of Gen, applied by vLLM without merging it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from service.decoding.engine import Sampling
from tests.family_pairs import HIDDEN, save_family_pair
from tests.vllm.running import running_vllm

RANK, ALPHA = 8, 16
PROMPT = [5, 6, 7, 50, 60, 70, 200, 300]


def save_adapter(folder: Path) -> dict[str, torch.Tensor]:
    """An adapter of the first layer's query and output projections, as peft writes it; what it adds to each weight."""
    folder.mkdir()
    dice = torch.Generator().manual_seed(3)
    weights: dict[str, torch.Tensor] = {}
    added: dict[str, torch.Tensor] = {}
    for name in ("self_attn.q_proj", "self_attn.o_proj"):
        a = torch.randn(RANK, HIDDEN, generator=dice) * 0.2
        b = torch.randn(HIDDEN, RANK, generator=dice) * 0.2
        weights[f"base_model.model.model.layers.0.{name}.lora_A.weight"] = a
        weights[f"base_model.model.model.layers.0.{name}.lora_B.weight"] = b
        added[f"model.layers.0.{name}.weight"] = b @ a * (ALPHA / RANK)
    save_file(weights, folder / "adapter_model.safetensors")
    said = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": ALPHA,
        "target_modules": ["q_proj", "o_proj"],
        "bias": "none",
    }
    (folder / "adapter_config.json").write_text(json.dumps(said))
    return added


@pytest.mark.slow
async def test_states_and_tokens_are_those_of_merged_weights(tmp_path: Path) -> None:
    pair = save_family_pair(tmp_path / "pair")
    added = save_adapter(tmp_path / "adapter")
    merged = AutoModelForCausalLM.from_pretrained(pair / "gen")
    plain = AutoModelForCausalLM.from_pretrained(pair / "gen")
    weights = dict(merged.named_parameters())
    with torch.no_grad():
        for name, weight in added.items():
            weights[name].add_(weight)
        expected, before = (
            model.base_model(torch.tensor([PROMPT])).last_hidden_state[0, -1].numpy() for model in (merged, plain)
        )
        greedy = int(merged(torch.tensor([PROMPT])).logits[0, -1].argmax())
    async with running_vllm(pair, context_length=64, adapter=tmp_path / "adapter") as engine:
        session = await engine.open(PROMPT, Sampling())
        state = await session.query_state()
        tokens = [token async for token in session.decode(forbidden=frozenset(), stop_ids=frozenset(), max_tokens=1)]
        await session.close()
    assert np.linalg.norm(expected / np.linalg.norm(expected) - before / np.linalg.norm(before)) > 0.05
    np.testing.assert_allclose(state, expected / np.linalg.norm(expected), atol=1e-5)
    assert tokens == [greedy]
