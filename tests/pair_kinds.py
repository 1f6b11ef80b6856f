"""Tiny random pairs of every kind that `pair.json` can tell of."""

from pathlib import Path
from typing import Any, Literal, get_args

import torch
from transformers import (
    BertConfig,
    BertModel,
    LlamaForCausalLM,
    LlamaModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from semiparametric.control import add_control_tokens
from semiparametric.pair import save_pair
from semiparametric.spec import PairSpec, PassageForm, Projection
from tests.conftest import tiny_llama_config, tiny_tokenizer

Kind = Literal["plain", "last_position", "projected", "shared", "shared_projected", "text", "dual", "dual_projected"]
KINDS: tuple[Kind, ...] = get_args(Kind)

HIDDEN = 32
WIDTH = 24
"""Hidden size of an encoder of another width than Gen."""

DIMENSION = 16
"""Dimension of the pairs that project."""

_SPECS: dict[Kind, dict[str, Any]] = {
    "plain": {},
    "last_position": {"pooling": "last_position"},
    "projected": {"projection": Projection(query=True, sequence=True)},
    "shared": {"shared": True},
    "shared_projected": {"shared": True, "projection": Projection(query=True, sequence=True)},
    "text": {"query": "text", "query_folder": "embseq"},
    "dual": {"query": "text", "query_folder": "query"},
    "dual_projected": {
        "query": "text",
        "query_folder": "query",
        "projection": Projection(query=True, sequence=True),
    },
}


def spec_of(kind: Kind, **changed: Any) -> PairSpec:
    """The spec of a pair of a kind: `DIMENSION` where it projects, `HIDDEN` elsewhere; leading 4 and 8 either way."""
    said: dict[str, Any] = {
        "control": add_control_tokens(tiny_tokenizer()),
        "passage": PassageForm(max_tokens=48),
        "pooling": "mean",
        "similarity": "cosine",
        "temperature": 0.05,
        "dimension": DIMENSION if "projected" in kind else HIDDEN,
        "leading_dimensions": (4, 8),
    }
    return PairSpec(**said | _SPECS[kind] | changed)


def encoder(tokenizer: PreTrainedTokenizerFast, width: int) -> PreTrainedModel:
    """A decoder without head of Gen's width, a BERT of any other."""
    if width == HIDDEN:
        return LlamaModel(tiny_llama_config(len(tokenizer)))
    return BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=48,
            max_position_embeddings=128,
            initializer_range=0.3,
        )
    )


def parts_of(kind: Kind, *, seed: int = 0, **changed: Any) -> dict[str, Any]:
    """What `save_pair` is given for a random pair of a kind.

    Embseq and query encoder of a pair that projects are narrower than Gen; `changed` changes the spec.
    """
    torch.manual_seed(seed)
    spec = spec_of(kind, **changed)
    gen_tokenizer, tokenizer = tiny_tokenizer(), tiny_tokenizer()
    add_control_tokens(gen_tokenizer)
    width = WIDTH if "projected" in kind else HIDDEN
    query_width = HIDDEN if spec.query == "state" else width
    sequence_width = HIDDEN if spec.shared else width
    projection = {
        "query.weight": torch.randn(spec.dimension, query_width),
        "sequence.weight": torch.randn(spec.dimension, sequence_width),
    }
    return {
        "gen_model": LlamaForCausalLM(tiny_llama_config(len(gen_tokenizer))),
        "gen_tokenizer": gen_tokenizer,
        "embseq_model": None if spec.shared else encoder(tokenizer, width),
        "embseq_tokenizer": None if spec.shared else tokenizer,
        "query_model": encoder(tokenizer, width) if spec.query_folder == "query" else None,
        "query_tokenizer": tokenizer if spec.query_folder == "query" else None,
        "projection": projection if spec.projection else None,
        "spec": spec,
    }


def save_pair_of(out: Path, kind: Kind, *, seed: int = 0, **changed: Any) -> PairSpec:
    """Save a random pair of a kind and return its spec."""
    return save_pair(out, **parts_of(kind, seed=seed, **changed))
