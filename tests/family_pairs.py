"""Tiny random pairs of every family that both engines decode, whose Gen writes control tokens without training."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    Phi3Config,
    PhiConfig,
    Qwen2Config,
    Qwen3Config,
)

from semiparametric.control import ControlTokens, add_control_tokens
from tests.conftest import save_small_pair, tiny_llama_config, tiny_tokenizer

HIDDEN = 64
POSITIONS = 512
PROMPTS = [[3 + (7 * index + 3 * place) % 300 for place in range(2 + 9 * index)] for index in range(9)]
FORBIDDEN_IDS = [396, 397, 398]  # the control tokens of a tiny pair

_GROUPED: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,  # heads of 32, the smallest that vLLM computes on a CPU
    "num_key_value_heads": 1,
    "max_position_embeddings": POSITIONS,
}
_GEMMA = _GROUPED | {"head_dim": 32, "sliding_window": POSITIONS}
_CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "GPT2LMHeadModel": (GPT2Config, {"n_embd": HIDDEN, "n_layer": 2, "n_head": 2, "n_positions": POSITIONS}),
    "Gemma2ForCausalLM": (Gemma2Config, _GEMMA | {"query_pre_attn_scalar": 32}),
    "Gemma3ForCausalLM": (Gemma3TextConfig, _GEMMA | {"query_pre_attn_scalar": 32}),
    "GemmaForCausalLM": (GemmaConfig, _GROUPED | {"head_dim": 32}),
    "LlamaForCausalLM": (LlamaConfig, _GROUPED),
    "MistralForCausalLM": (MistralConfig, _GROUPED | {"sliding_window": None}),
    "Phi3ForCausalLM": (Phi3Config, _GROUPED | {"sliding_window": None}),
    "PhiForCausalLM": (PhiConfig, _GROUPED | {"num_key_value_heads": 2}),
    "Qwen2ForCausalLM": (Qwen2Config, _GROUPED),
    "Qwen3ForCausalLM": (Qwen3Config, _GROUPED | {"head_dim": 32}),
}
FAMILIES = tuple(_CONFIGS)


def save_family_pair(
    out: Path, architecture: str = "LlamaForCausalLM", *, seed: int = 1, deviation: float = 0.3
) -> Path:
    """Save a pair with a Gen of this family (fp32) and a tiny Llama as Embseq; its folder.

    The larger the weights' deviation, the more the next token depends on all ids, and the more rounding is amplified.
    """
    tokenizer = tiny_tokenizer()
    control = add_control_tokens(tokenizer)
    make, said = _CONFIGS[architecture]
    tied = architecture.startswith("Gemma")  # as all of them are
    ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": tied}
    config = make(vocab_size=len(tokenizer), **said, **ids)
    torch.manual_seed(seed)
    gen = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    _enliven(gen, control, deviation)
    embseq = tiny_llama_config(len(tokenizer))
    embseq.hidden_size = HIDDEN
    return save_small_pair(out, gen, LlamaModel(embseq), tokenizer, control)


def _enliven(gen: Any, control: ControlTokens, deviation: float) -> None:
    """Weights so large that the next token depends on all ids and is often a control token."""
    with torch.no_grad():
        for name, weight in gen.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, deviation)
            elif "norm" in name or "ln_" in name:
                weight += 0.1 * torch.randn_like(weight)  # so that states before and after a norm differ in direction
        head = gen.get_output_embeddings().weight
        head.copy_(torch.randn_like(head))
        head[control.ret] *= 2
        head[control.ce] *= 2
        head[2] *= 1.5  # the end of the answer


def reference(folder: Path, prompt: list[int], dtype: torch.dtype) -> tuple[np.ndarray, list[int]]:
    """The state after the prompt's last id, and six greedy tokens that are not forbidden, all computed anew."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    shown: list[torch.Tensor] = []
    model.get_output_embeddings().register_forward_pre_hook(lambda _, arguments: shown.append(arguments[0]))
    ids, state = list(prompt), np.empty(0)
    with torch.inference_mode():
        for step in range(6):
            logits = model(input_ids=torch.tensor([ids])).logits[0, -1].float()
            state = shown[0][0, -1].float().numpy() if step == 0 else state
            logits[FORBIDDEN_IDS] = -torch.inf
            ids.append(int(logits.argmax()))
    return state, ids[len(prompt) :]


def largest_error(state: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(state - expected) / np.linalg.norm(expected))
