"""What tests of all packages share: a tiny random pair, made once per run."""

from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel, PreTrainedModel, PreTrainedTokenizerFast

from semiparametric.control import ControlTokens, add_control_tokens
from semiparametric.pair import save_pair
from semiparametric.spec import PairSpec, PassageForm
from tests.kinds import pytest_terminal_summary

__all__ = ["pytest_terminal_summary"]

TEXTS = (
    "A lighthouse keeper trims the lamp at dusk and notes the weather in the log.",
    "The tide turns twice a day; the mill wheel follows it.",
    "What does the keeper write down? ## Input: ## Output: title :: text",
    "Übergröße, naïve façade, 灯台, the café's lamp 42.",
)


def tiny_tokenizer(texts: Iterable[str] = TEXTS, vocab_size: int = 400) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer trained on a few sentences; it can spell any text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<pad>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def tiny_llama_config(vocab_size: int) -> LlamaConfig:
    """Two layers of 32: everything a Llama has, in milliseconds."""
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
        tie_word_embeddings=True,
    )


@pytest.fixture(scope="session")
def tiny_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a saved pair of tiny random Llamas (cosine, mean pooling)."""
    return save_tiny_pair(tmp_path_factory.mktemp("pair") / "tiny", seed=0)


def save_tiny_pair(out: Path, *, seed: int) -> Path:
    """Save a pair of tiny random Llamas (cosine, mean pooling) and return its folder."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    control = add_control_tokens(tokenizer)
    config = tiny_llama_config(len(tokenizer))
    return save_small_pair(out, LlamaForCausalLM(config), LlamaModel(config), tokenizer, control)


def save_small_pair(
    out: Path,
    gen: PreTrainedModel,
    embseq: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    control: ControlTokens,
) -> Path:
    """Save two models of one hidden size and a tokenizer as a pair (cosine, mean pooling) and return its folder."""
    spec = PairSpec(
        control=control,
        passage=PassageForm(max_tokens=64),
        pooling="mean",
        similarity="cosine",
        temperature=0.05,
        dimension=gen.config.hidden_size,
    )
    save_pair(out, gen_model=gen, gen_tokenizer=tokenizer, embseq_model=embseq, embseq_tokenizer=tokenizer, spec=spec)
    return out
