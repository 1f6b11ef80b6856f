"""Low-rank adapters: train a small addition to frozen weights, and merge it into them for the pair."""

import importlib.util
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D

from semiparametric.errors import InputError
from training.settings import LoraSettings

if TYPE_CHECKING:  # it takes seconds to import, and most runs train all weights
    from peft import PeftModel


def add_adapters(model: PreTrainedModel, lora: LoraSettings, *, new_tokens: Sequence[int] = ()) -> "PeftModel":
    """Put adapters into a model, in place; everything else in it is frozen.

    Args:
        model: Gen, Embseq or a query encoder.
        lora: Rank and scale, and which layers get adapters.
        new_tokens: Tokens whose embeddings are trained too, since the frozen ones know nothing of them: the control
            tokens.

    Raises:
        InputError: The model has no layer that `target_modules` names.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules or "all-linear",
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),  # as GPT-2 stores its layers
        trainable_token_indices=_rows_of(model, new_tokens) if new_tokens else None,
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise InputError(str(error).splitlines()[0], where="setting lora.target_modules") from error


def merge(adapters: "PeftModel") -> PreTrainedModel:
    """The model with its adapters added to its weights, as an ordinary model."""
    merged: PreTrainedModel = adapters.merge_and_unload()
    if getattr(merged, "is_quantized", False):
        merged = merged.dequantize()
    return merged


def four_bits() -> BitsAndBytesConfig:
    """How base models are loaded for `load_in_4bit`.

    Raises:
        InputError: bitsandbytes or a GPU is missing.
    """
    setting = "setting lora.load_in_4bit"
    if importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "weights in 4 bits need bitsandbytes, which is not installed",
            where=setting,
            remedy="Install it with `pip install bitsandbytes`, or leave the setting out",
        )
    if not torch.cuda.is_available():
        raise InputError("weights in 4 bits need a GPU", where=setting, remedy="Leave the setting out")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )


def _rows_of(model: PreTrainedModel, tokens: Sequence[int]) -> dict[str, list[int]]:
    """The same rows of the embedding table and, where it is another one, of the head."""
    tables: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    if tables[1] is None or tables[1].weight is tables[0].weight:
        tables = tables[:1]
    return {_name(model, table): list(tokens) for table in tables}


def _name(model: nn.Module, wanted: nn.Module) -> str:
    names: dict[int, str] = {id(module): name for name, module in model.named_modules()}
    return names[id(wanted)]
