"""Tiny random checkpoints in the layout in which the paper's authors published theirs.

Gen is a LlamaForCausalLM, Embseq a LlamaModel. Their tokenizer is a SentencePiece model in files of the time: `<PAD>`,
`[Cs]`, `[Ce]` and `[Ret]` stand behind its vocabulary as added tokens, of which only `<PAD>` and `[Ret]` are special.
"""

import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel, PreTrainedModel

from semiparametric.control import ControlTokens
from semiparametric.spec import PairSpec
from tests.conftest import TEXTS
from training.importing.build import import_pair
from training.importing.settings import ImportSettings

ADDED = ("<PAD>", "[Cs]", "[Ce]", "[Ret]")
BASE = 400  # pieces of the vocabulary before them, 32,000 in the original

CONTROL = ControlTokens(cs=BASE + 1, ce=BASE + 2, ret=BASE + 3)
LENGTH = 48  # tokens that `imported` pads a passage to


def tiny_config(**changes: Any) -> LlamaConfig:
    """Two layers of 32 with weights so large that states depend on every token."""
    settings: dict[str, Any] = {
        "vocab_size": BASE + len(ADDED),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "initializer_range": 0.3,
    }
    return LlamaConfig(**settings | changes)


def tiny_gen(**changes: Any) -> LlamaForCausalLM:
    """A random Gen, its head apart from its embeddings as in Llama 2."""
    torch.manual_seed(1)
    model: LlamaForCausalLM = LlamaForCausalLM(tiny_config(**changes)).eval()
    return model


def tiny_embseq(**changes: Any) -> LlamaModel:
    """A random Embseq without a head."""
    torch.manual_seed(2)
    model: LlamaModel = LlamaModel(tiny_config(**changes)).eval()
    return model


@cache
def sentencepiece_model() -> bytes:
    """A SentencePiece BPE model that falls back to bytes, as Llama's."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS, "Ret Cs Ce </s> <s> <PAD>"] * 5),
        model_writer=written,
        model_type="bpe",
        vocab_size=BASE,
        byte_fallback=True,
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        minloglevel=2,
    )
    return written.getvalue()


def save_tokenizer(folder: Path, added: Sequence[str] = ADDED, *, pad: str | None = "<PAD>") -> None:
    """The tokenizer's files as transformers of 2023 wrote them, with these tokens added, or another padding token."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.model").write_bytes(sentencepiece_model())
    plain: dict[str, Any] = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    special = plain | {"pad_token": pad} if pad else plain
    if "[Ret]" in added:
        special = special | {"additional_special_tokens": ["[Ret]"]}
    written = {
        "tokenizer_config.json": plain | {"tokenizer_class": "LlamaTokenizer", "legacy": None, "pad_token": None},
        "special_tokens_map.json": special,
        "added_tokens.json": {token: BASE + place for place, token in enumerate(added)},
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content), "utf-8")


def save_safetensors(folder: Path, model: PreTrainedModel) -> Path:
    """A checkpoint in one safetensors file, with its tokenizer."""
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_torch_files(folder: Path, model: PreTrainedModel, num_shards: int = 2) -> Path:
    """A checkpoint in PyTorch .bin files, with the computed buffers that were once saved too, and its tokenizer."""
    folder.mkdir(parents=True)
    save_tokenizer(folder)
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    prefix = "model." if isinstance(model, LlamaForCausalLM) else ""
    state = model.state_dict() | {f"{prefix}layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    weight_map: dict[str, str] = {}
    for shard in range(num_shards):
        name = f"pytorch_model-{shard + 1:05}-of-{num_shards:05}.bin"
        part = dict(list(state.items())[shard::num_shards])
        torch.save(part, folder / name)
        weight_map |= dict.fromkeys(part, name)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}), "utf-8")
    return folder


def save_checkpoints(folder: Path) -> Path:
    """`gen` and `embseq` in safetensors."""
    save_safetensors(folder / "gen", tiny_gen())
    save_safetensors(folder / "embseq", tiny_embseq())
    return folder


def imported(checkpoints: Path, out: Path, **settings: Any) -> PairSpec:
    """Import `gen` and `embseq` of a folder, by the authors' pooling if no other is named."""
    given: dict[str, Any] = {
        "gen": str(checkpoints / "gen"),
        "embseq": str(checkpoints / "embseq"),
        "passage_max_tokens": LENGTH,
    }
    return import_pair(ImportSettings(**given | {"out": out} | settings))
