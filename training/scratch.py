"""Where a pair starts: from scratch, or from models that exist."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from semiparametric.control import ControlTokens, add_control_tokens
from semiparametric.errors import InputError
from semiparametric.formats import Passage
from training.bases import check_lengths, load_base
from training.settings import ScratchModel, TrainSettings

# Words keep their leading space, digits stand alone, camelCase and snake_case fall apart into their words, so that a
# name in a question and the same words in a passage share tokens.
_WORDS = Regex(r" ?[A-Z]?[a-z]+| ?[A-Z]+(?![a-z])| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+")


@dataclass
class Start:
    """What training starts from; of the supervision `shared`, Embseq is Gen without its head."""

    gen: PreTrainedModel
    gen_tokenizer: PreTrainedTokenizerBase
    embseq: PreTrainedModel
    embseq_tokenizer: PreTrainedTokenizerBase
    control: ControlTokens


def starting_point(settings: TrainSettings, passages: Iterable[Passage]) -> Start:
    """Gen, Embseq and their tokenizers before the first step; a new tokenizer learns from the passages.

    Raises:
        PairError: A base model cannot be loaded.
        InputError: A length is over what a model can tell apart, or Embseq would have more layers than Gen.
    """
    torch.manual_seed(settings.seed)
    if settings.base_gen is None:
        tokenizer: PreTrainedTokenizerBase = train_tokenizer(passages, settings.scratch.vocab_size)
        control = add_control_tokens(tokenizer)
        gen: PreTrainedModel = gen_from_scratch(settings.scratch, len(tokenizer))
    else:
        gen, tokenizer = load_base(AutoModelForCausalLM, settings.base_gen, settings.lora)
        control = add_control_tokens(tokenizer)
        gen.resize_token_embeddings(len(tokenizer))
    embseq, embseq_tokenizer = _embseq(settings, gen, tokenizer)
    check_lengths(settings, gen, embseq)
    return Start(gen, tokenizer, embseq, embseq_tokenizer, control)


def train_tokenizer(passages: Iterable[Passage], vocab_size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the corpus: it can spell any text, and has `<pad>`, `<s>` and `</s>`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(_WORDS, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 3,  # room for the control tokens
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((f"{passage.title} :: {passage.text}" for passage in passages), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def llama_config(scratch: ScratchModel, vocab_size: int) -> LlamaConfig:
    """Gen's configuration from scratch."""
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=scratch.hidden_size,
        intermediate_size=scratch.intermediate_size,
        num_hidden_layers=scratch.gen_layers,
        num_attention_heads=scratch.heads,
        num_key_value_heads=scratch.heads,
        max_position_embeddings=scratch.context_length,
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


@torch.no_grad()
def gen_from_scratch(scratch: ScratchModel, vocab_size: int) -> LlamaForCausalLM:
    """Gen with random weights, but for the first layers' values and output projections, which are the identity.

    Queries and keys being small, such a layer adds the average of the words so far to each state (after "Mimetic
    initialization of self-attention layers", arXiv 2305.09828). So Gen's state at `[Ret]` and Embseq's mean begin as
    bags of words in one space, and lookups of words that training never showed work from the first step: in twenty
    steps on textbooks, recall@1 over 8,000 passages rose to 0.07, where without it 200 steps had not brought 0.01.
    """
    gen = LlamaForCausalLM(llama_config(scratch, vocab_size))
    for layer in gen.model.layers[: scratch.averaging_layers]:
        nn.init.eye_(layer.self_attn.v_proj.weight)
        nn.init.eye_(layer.self_attn.o_proj.weight)
    return gen


def embseq_from_gen(gen: PreTrainedModel, layers: int) -> PreTrainedModel:
    """Embseq as a copy of Gen's first layers: both then start in one space, as the paper's two Llamas do."""
    config = type(gen.config)(**(gen.config.to_dict() | {"num_hidden_layers": layers}))
    embseq = AutoModel.from_config(config)
    embseq.load_state_dict(gen.base_model.state_dict(), strict=False)
    return embseq  # type: ignore[no-any-return]


def _embseq(
    settings: TrainSettings, gen: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if settings.supervision == "shared":
        return gen.base_model, tokenizer  # type: ignore[return-value]
    if settings.base_embseq is not None:
        return load_base(AutoModel, settings.base_embseq, settings.lora)
    if settings.base_gen is not None and settings.lora.load_in_4bit:  # packed weights cannot be copied by name
        return load_base(AutoModel, settings.base_gen, settings.lora)
    layers = settings.scratch.embseq_layers if settings.base_gen is None else gen.config.num_hidden_layers
    if layers > gen.config.num_hidden_layers:
        raise InputError(
            f"{layers} is more than Gen's {gen.config.num_hidden_layers} layers", where="setting scratch.embseq_layers"
        )
    return embseq_from_gen(gen, layers), tokenizer
