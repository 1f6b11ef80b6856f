"""A Gen whose random weights do write control tokens, so that answers hold lookups and citations without training."""

from pathlib import Path

import torch

from semiparametric.pair import Gen, load_gen
from tests.conftest import save_tiny_pair


def lively_gen(pair: Path, *, seed: int = 1) -> Gen:
    """The pair's Gen, enlivened."""
    return enliven(load_gen(pair), seed=seed)


def enliven(gen: Gen, *, seed: int = 1) -> Gen:
    """Give Gen large random weights: its next token depends on all ids, and is often a control token."""
    dice = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in gen.model.parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.4, generator=dice)
        head = torch.randn(gen.model.config.vocab_size, gen.model.config.hidden_size, generator=dice)
        control = gen.spec.control
        head[control.ret] *= 2
        head[control.ce] *= 2
        head[gen.codec.eos_id] *= 0.5
        gen.model.lm_head.weight = torch.nn.Parameter(head)
    return gen


def save_lively_pair(out: Path) -> Path:
    """Save a tiny pair whose Gen is enlivened and return its folder."""
    gen = lively_gen(save_tiny_pair(out, seed=0))
    gen.model.config.tie_word_embeddings = False  # its head is its own now
    gen.model.save_pretrained(out / "gen")
    return out
