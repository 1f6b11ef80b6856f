"""One checkpoint, looked into: configuration, tokenizer, and where its weights are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from semiparametric.errors import PairError
from training.importing.tokens import check_rows, complete, load_tokenizer
from training.importing.weights import WeightPlan, plan_weights, skeleton


@dataclass
class Checkpoint:
    """What is known of a model before any of its weights is read."""

    role: Literal["gen", "embseq"]
    folder: Path
    config: Any
    tokenizer: PreTrainedTokenizerBase
    weights: WeightPlan

    @property
    def hidden_size(self) -> int:
        """Length of its states."""
        return int(self.config.get_text_config().hidden_size)

    @property
    def rows(self) -> int:
        """Rows of its embedding table."""
        return int(self.config.get_text_config().vocab_size)


def read_checkpoint(role: Literal["gen", "embseq"], folder: Path, tokenizer_folder: Path) -> Checkpoint:
    """Look into the checkpoint of Gen or Embseq.

    Raises:
        PairError: It is of no known kind, no causal language model where one is needed, or not whole.
    """
    config = _config(folder)
    if role == "gen":
        _check_causal(config, folder)
    tokenizer = load_tokenizer(tokenizer_folder)
    rows = config.get_text_config().vocab_size
    complete(tokenizer, rows)
    check_rows(tokenizer, rows, where=str(folder))
    model: Any = skeleton(AutoModelForCausalLM if role == "gen" else AutoModel, config)
    weights = plan_weights(folder, model)
    config.architectures = [type(model).__name__]
    return Checkpoint(role, folder, config, tokenizer, weights)


def _config(folder: Path) -> Any:
    if not (folder / "config.json").is_file():
        raise PairError(
            "not a model checkpoint: there is no config.json", where=str(folder), remedy="Name the folder of a model"
        )
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PairError(
            f"its config.json is not that of a known model ({str(error).partition(chr(10))[0]})", where=str(folder)
        ) from error


def _check_causal(config: Any, folder: Path) -> None:
    named = [name for name in config.architectures or [] if "CausalLM" not in name and "LMHead" not in name]
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES or named or config.is_encoder_decoder:
        raise PairError(
            f"it is not a causal language model: its config.json says {', '.join(named) or config.model_type}",
            where=str(folder),
            remedy="Gen needs one; name the checkpoint of Gen, not that of Embseq",
        )
