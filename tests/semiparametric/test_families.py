"""Every family of models that a pair may be made of: padding and neighbours in a batch change no vector."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    BertConfig,
    DistilBertConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    MPNetConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    RobertaConfig,
)

from semiparametric.embedding import pool, sequence_states
from semiparametric.spec import Pooling

VOCABULARY = 90
PAD = 1  # what RoBERTa and MPNet pad with; no text below holds it
LENGTHS = (3, 17, 9, 1, 26)


def decoder(make: Callable[..., PreTrainedConfig], **own: Any) -> PreTrainedConfig:
    return make(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        pad_token_id=PAD,
        **own,
    )


def encoder(make: Callable[..., PreTrainedConfig], **own: Any) -> PreTrainedConfig:
    return make(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=66,
        initializer_range=0.3,
        pad_token_id=PAD,
        **own,
    )


CAUSAL: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=32, n_layer=2, n_head=4, initializer_range=0.3),
    "llama": decoder(LlamaConfig),
    "qwen2": decoder(Qwen2Config),
    "qwen3": decoder(Qwen3Config, head_dim=8),
    "gemma": decoder(GemmaConfig, head_dim=8),
    "gemma2": decoder(Gemma2Config, head_dim=8, sliding_window=6, query_pre_attn_scalar=8),
    "gemma3": decoder(Gemma3TextConfig, head_dim=8, sliding_window=6, query_pre_attn_scalar=8),
    "mistral": decoder(MistralConfig, sliding_window=6),
}
ENCODERS: dict[str, PreTrainedConfig] = {
    "bert": encoder(BertConfig),
    "roberta": encoder(RobertaConfig),
    "mpnet": encoder(MPNetConfig),
    "distilbert": DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        hidden_dim=48,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=64,
        initializer_range=0.3,
    ),
}
FAMILIES = CAUSAL | ENCODERS


@pytest.fixture(scope="module")
def models() -> dict[str, PreTrainedModel]:
    torch.manual_seed(0)
    return {name: AutoModel.from_config(config).eval() for name, config in FAMILIES.items()}


@pytest.fixture(params=["sdpa", "eager"])
def attention(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def texts() -> list[Tensor]:
    dice = torch.Generator().manual_seed(4)
    return [torch.randint(PAD + 1, VOCABULARY, (length,), generator=dice) for length in LENGTHS]


def batch(rows: list[Tensor], *, left: int, right: int) -> tuple[Tensor, Tensor]:
    """Ids and mask of rows: after `left` padding and before at least `right`, or all at the right where that is 0."""
    width = max(len(row) for row in rows) + left + right
    ids, mask = torch.full((len(rows), width), PAD), torch.zeros(len(rows), width, dtype=torch.long)
    for place, row in enumerate(rows):
        start = left if right else width - len(row)
        ids[place, start : start + len(row)] = row
        mask[place, start : start + len(row)] = 1
    return ids, mask


@torch.no_grad()
def vectors(model: PreTrainedModel, ids: Tensor, mask: Tensor, pooling: Pooling) -> np.ndarray[Any, Any]:
    return pool(sequence_states(model, ids, mask), mask, pooling).numpy()


@torch.no_grad()
def alone(model: PreTrainedModel, row: Tensor, pooling: Pooling) -> np.ndarray[Any, Any]:
    """The oracle: the model as its library calls it, with one text and no padding."""
    states = model(input_ids=row[None]).last_hidden_state[0]
    pooled: Tensor = states.mean(0) if pooling == "mean" else states[-1]
    return pooled.numpy()


@pytest.mark.parametrize("pooling", ["last_token", "mean"])
@pytest.mark.parametrize("family", FAMILIES)
def test_padding_on_any_side_and_neighbours_in_a_batch_change_no_vector(
    models: dict[str, PreTrainedModel], attention: str, family: str, pooling: Pooling
) -> None:
    model = models[family]
    model.set_attn_implementation(attention)
    rows = texts()
    oracle = np.stack([alone(model, row, pooling) for row in rows])
    assert np.ptp(oracle, axis=0).max() > 0.1  # the texts differ, so a mixed-up order would show
    for left, right in ((0, 1), (1, 0), (7, 5)):
        ids, mask = batch(rows, left=left, right=right)
        np.testing.assert_allclose(vectors(model, ids, mask, pooling), oracle, atol=2e-5)
    for some in (rows[:2], rows[2:], rows[::-1][:3]):
        ids, mask = batch(some, left=0, right=3)
        np.testing.assert_allclose(
            vectors(model, ids, mask, pooling), np.stack([alone(model, row, pooling) for row in some]), atol=2e-5
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_may_reach_beyond_the_positions_that_a_model_has(
    models: dict[str, PreTrainedModel], family: str
) -> None:
    model, rows = models[family], texts()
    for left, right in ((60, 0), (0, 60)):
        ids, mask = batch(rows, left=left, right=right)
        oracle = np.stack([alone(model, row, "mean") for row in rows])
        np.testing.assert_allclose(vectors(model, ids, mask, "mean"), oracle, atol=2e-5)


@pytest.mark.parametrize("family", [*CAUSAL, "bert", "distilbert"])
def test_the_last_position_is_what_the_model_gives_there_by_itself(
    models: dict[str, PreTrainedModel], family: str
) -> None:
    model, rows = models[family], texts()
    ids, mask = batch(rows, left=0, right=4)
    with torch.no_grad():
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    np.testing.assert_allclose(vectors(model, ids, mask, "last_position"), states[:, -1].numpy(), atol=2e-5)


@pytest.mark.parametrize("family", CAUSAL)
def test_states_are_those_that_gens_head_reads(family: str) -> None:
    torch.manual_seed(1)
    gen = AutoModelForCausalLM.from_config(CAUSAL[family]).eval()
    ids, mask = batch(texts(), left=0, right=1)
    read: list[Tensor] = []
    with torch.no_grad(), gen.get_output_embeddings().register_forward_pre_hook(lambda _, given: read.append(given[0])):
        gen(input_ids=ids, attention_mask=mask)
        states = sequence_states(gen.base_model, ids, mask)
    real = mask.bool()
    np.testing.assert_allclose(states[real].numpy(), read[0][real].numpy(), atol=2e-5)
