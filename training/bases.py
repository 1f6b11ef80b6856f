"""Models that training starts from: loaded, and checked against their tokenizers and the lengths they will meet."""

import re
from pathlib import Path

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from semiparametric.errors import InputError, PairError
from training.settings import LoraSettings, TrainSettings


def load_base(auto: type, name: str, lora: LoraSettings) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model and its tokenizer from a local folder or the hub, in float32; only safetensors are read.

    Raises:
        PairError: They cannot be loaded, or do not belong together.
        InputError: The model shall be loaded in 4 bits, and this machine cannot.
    """
    options: dict[str, object] = {}
    if lora.load_in_4bit:
        from training.lora import four_bits

        options["quantization_config"] = four_bits()
    try:
        model = auto.from_pretrained(  # type: ignore[attr-defined]
            name, use_safetensors=True, dtype=torch.float32, **options
        )
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise _cannot_load(name, str(error).splitlines()[0]) from error
    rows, tokens = model.get_input_embeddings().weight.shape[0], len(tokenizer)
    if rows < tokens:
        raise PairError(
            f"its tokenizer has {tokens} tokens, its embedding table {rows} rows",
            where=f"model {name!r}",
            remedy="Weights and tokenizer come from different models: name a folder that holds both of one",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return model, tokenizer


def check_lengths(settings: TrainSettings, gen: PreTrainedModel, embseq: PreTrainedModel) -> None:
    """Refuse sequences longer than the models can tell positions apart.

    Raises:
        InputError: `max_tokens` is over Gen's limit or `passage_max_tokens` over Embseq's.
    """
    for setting, model, name in (("max_tokens", gen, "Gen"), ("passage_max_tokens", embseq, "Embseq")):
        asked: int = getattr(settings, setting)
        limit = getattr(model.config, "max_position_embeddings", None)
        if limit is not None and asked > limit:
            raise InputError(
                f"it is {asked}, and {name} can tell only {limit} positions apart",
                where=f"setting {setting}",
                remedy=f"Lower it to at most {limit}, or choose a model with a longer context",
            )


def _cannot_load(name: str, reason: str) -> PairError:
    if not Path(name).exists() and re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
        return PairError(
            f"there is no local folder {name!r}, and as a name on the hub it cannot be reached or loaded ({reason})",
            remedy="Fetch it where there is a connection (`hf download NAME --local-dir FOLDER`), and name that local "
            "folder instead",
        )
    return PairError(
        f"the model {name!r} cannot be loaded ({reason})",
        remedy="Name a local folder that holds it, or a hub model that this machine can reach",
    )
