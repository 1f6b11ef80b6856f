"""A Llama as Gen beside Embseqs of other families and sizes."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    Gemma2Config,
    Gemma2Model,
    GemmaConfig,
    GemmaModel,
    GPT2Config,
    GPT2Model,
    LlamaForCausalLM,
    LlamaModel,
    MistralConfig,
    MistralModel,
    PreTrainedModel,
    Qwen2Config,
    Qwen2Model,
    Qwen3Config,
    Qwen3Model,
)

from tests.conftest import tiny_llama_config
from tests.training.random_batches import VOCABULARY, furthest, gradients, random_batch, random_spec
from training import grad_cache
from training.model import CoSupervisedModel, Objective, projection

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}
HEADS: dict[str, Any] = {"num_key_value_heads": 2, "head_dim": 12}

FAMILIES: dict[str, Callable[[], PreTrainedModel]] = {
    "gpt2": lambda: GPT2Model(GPT2Config(vocab_size=VOCABULARY, n_embd=48, n_layer=1, n_head=4, n_positions=64)),
    "llama": lambda: LlamaModel(tiny_llama_config(VOCABULARY)),  # of Gen's own size: nothing to project
    "qwen2": lambda: Qwen2Model(Qwen2Config(**SIZES, num_key_value_heads=2)),
    "qwen3": lambda: Qwen3Model(Qwen3Config(**SIZES, **HEADS)),
    "gemma": lambda: GemmaModel(GemmaConfig(**SIZES, **HEADS)),
    "gemma2": lambda: Gemma2Model(Gemma2Config(**SIZES, **HEADS)),
    "mistral": lambda: MistralModel(MistralConfig(**SIZES, num_key_value_heads=2, sliding_window=4)),
    "minilm": lambda: BertModel(BertConfig(**SIZES, max_position_embeddings=64)),
}


def model_with(family: str, dimension: int = 32, **said: Any) -> CoSupervisedModel:
    """Gen of 32, Embseq of 48 (or 32) dimensions, and projections where the sequence space has another size."""
    torch.manual_seed(0)
    gen, embseq = LlamaForCausalLM(tiny_llama_config(VOCABULARY)), FAMILIES[family]()
    return CoSupervisedModel(
        gen,
        embseq,
        random_spec(dimension=dimension, **said),
        Objective("co-supervised", 1.0),
        query_projection=projection(gen.config.hidden_size, dimension),
        sequence_projection=projection(embseq.config.hidden_size, dimension),
    )


@pytest.mark.parametrize("pooling", ["mean", "last_token"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_lowers_the_loss_and_reaches_every_weight(family: str, pooling: str) -> None:
    model, batch = model_with(family, pooling=pooling).eval(), random_batch()
    before = model(batch)
    before["loss"].backward()
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    found = gradients(model)
    assert found.keys() == trained, "DDP waits for a gradient of each weight that asks for one"
    assert ("sequence_projection.weight" in found) == (family != "llama")
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2).step()
    after = model(batch)
    assert after["loss"] < before["loss"]


@pytest.mark.parametrize("family", ["gpt2", "minilm"])
def test_both_sides_are_projected_into_a_smaller_space_whose_leading_dimensions_are_trained_too(family: str) -> None:
    model, batch = model_with(family, dimension=16, leading_dimensions=(4, 8)), random_batch()
    model.eval()
    model(batch)["loss"].backward()
    found = gradients(model)
    assert found["query_projection.weight"].shape == (16, 32)
    assert found["sequence_projection.weight"].shape == (16, 48)
    assert all(float(found[f"{side}_projection.weight"].abs().sum()) > 0 for side in ("query", "sequence"))
    model.zero_grad()
    grad_cache.backward(model, batch, chunk_rows=2)
    assert furthest(gradients(model), found) < 1e-5


def test_vectors_do_not_depend_on_the_padding_of_their_batch() -> None:
    for family in FAMILIES:
        model = model_with(family).eval()
        passages = random_batch()["passages"][1]
        together = model.sequence_vectors(passages["ids"], passages["mask"])
        for row, mask in enumerate(passages["mask"]):
            alone = passages["ids"][row : row + 1, : int(mask.sum())]
            torch.testing.assert_close(
                model.sequence_vectors(alone, torch.ones_like(alone)), together[row : row + 1], rtol=1e-4, atol=1e-5
            )


def test_a_projection_keeps_angles_and_is_left_out_where_the_sizes_agree() -> None:
    assert projection(32, 32) is None
    made = projection(32, 48)
    assert made is not None
    torch.testing.assert_close(made.weight.T @ made.weight, torch.eye(32), rtol=0, atol=1e-5)
