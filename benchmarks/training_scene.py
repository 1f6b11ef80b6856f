"""What both sides of `benchmarks.training` share: random models, and batches of random tokens of realistic lengths."""

import math
import random
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel, PreTrainedModel

from semiparametric.control import ControlTokens
from semiparametric.spec import PairSpec
from training.batches import Collator
from training.model import CoSupervisedModel, Objective
from training.sequences import ANSWER, PASSAGE, PROMPT, TrainingSequence

Mix = Literal["textbooks", "long answers"]
MAX_TOKENS, PASSAGE_TOKENS, PAD, EOS = 1024, 256, 0, 2


@dataclass(frozen=True)
class Size:
    """How big the models and the batch are."""

    hidden: int = 256
    intermediate: int = 768
    gen_layers: int = 4
    embseq_layers: int = 2
    heads: int = 4
    vocabulary: int = 12288
    batch: int = 64


NANO = Size()
SMOKE = Size(hidden=32, intermediate=64, gen_layers=2, embseq_layers=1, vocabulary=400, batch=6)
BIG = Size(hidden=1024, intermediate=2816, gen_layers=16, embseq_layers=16, heads=16, vocabulary=32000, batch=64)
SIZES = {"nano": NANO, "few": replace(NANO, batch=16), "smoke": SMOKE, "big": BIG}


def models(size: Size, *, attention: str, similarity: Literal["dot", "cosine"] = "dot") -> CoSupervisedModel:
    """Gen and Embseq with random weights, the same at each call: Llamas, compared as the authors do unless said."""
    torch.manual_seed(0)
    control = ControlTokens(ret=size.vocabulary - 1, cs=size.vocabulary - 2, ce=size.vocabulary - 3)
    spec = PairSpec(
        control=control,
        similarity=similarity,
        temperature=0.05 if similarity == "cosine" else 1.0,
        dimension=size.hidden,
    )
    gen: PreTrainedModel = LlamaForCausalLM(_config(size, size.gen_layers))
    embseq: PreTrainedModel = LlamaModel(_config(size, size.embseq_layers))
    for model in (gen, embseq):
        model.set_attn_implementation(attention)
    return CoSupervisedModel(gen, embseq, spec, Objective("co-supervised", 0.01)).train()


def sequences(size: Size, mix: Mix) -> tuple[list[TrainingSequence], dict[str, tuple[int, ...]]]:
    """A batch of random sequences, and the tokens of the passages they look up, each a different one.

    `textbooks`: questions of 12 tokens, one or two lookups, passages of 134, cited sentences of 27: the medians, and
    about the spread, of the textbook questions that models/nano is trained on. `long answers`: instructions, no to
    five lookups and plain sentences between them, as in the authors' training set.
    """
    dice = random.Random(0)
    passages: dict[str, tuple[int, ...]] = {}
    made = []
    for _ in range(size.batch):
        sequence = TrainingSequence()
        sequence.add(_tokens(dice, size, 12 if mix == "textbooks" else 40, 0.4), PROMPT)
        lookups = dice.choice((1, 1, 2)) if mix == "textbooks" else dice.choice((0, 0, 1, 1, 2, 3, 4, 5))
        for _ in range(lookups):
            _look_up(sequence, dice, size, passages, mix)
        if not lookups:
            sequence.add(_tokens(dice, size, 80, 0.6), ANSWER)
        sequence.add([EOS], ANSWER)
        made.append(sequence)
    return made, passages


def collated(
    made: list[TrainingSequence], passages: dict[str, tuple[int, ...]], *, passage_tokens_in_ntp: bool
) -> dict[str, Any]:
    """The batch as `cosup train` makes it."""
    collator = Collator(passages, gen_pad=PAD, embseq_pad=PAD, passage_tokens_in_ntp=passage_tokens_in_ntp)
    batch: dict[str, Any] = collator(made)["batch"]
    return {name: part for name, part in batch.items() if name not in {"examples", "tokens"}}


def moved(batch: Any, device: str) -> Any:
    """The batch on a device."""
    if isinstance(batch, dict):
        return {name: moved(part, device) for name, part in batch.items()}
    if isinstance(batch, list):
        return [moved(part, device) for part in batch]
    return batch.to(device)


def _look_up(
    sequence: TrainingSequence, dice: random.Random, size: Size, passages: dict[str, tuple[int, ...]], mix: Mix
) -> None:
    """Add a cited segment, if there is room for it, and before it a plain one in long answers."""
    plain = _tokens(dice, size, 25, 0.6) if mix == "long answers" else []
    passage = _tokens(dice, size, 134, 0.25)[:PASSAGE_TOKENS]
    text = _tokens(dice, size, 27, 0.5)
    if len(sequence.ids) + len(plain) + len(passage) + len(text) + 4 > MAX_TOKENS:
        return
    name = f"p{len(passages)}"
    passages[name] = tuple(passage)
    sequence.add(plain, ANSWER)
    sequence.ret_positions.append(len(sequence.ids))
    sequence.passages.append(name)
    sequence.negatives.append([])
    sequence.add([size.vocabulary - 1], ANSWER)
    sequence.add([*passage, size.vocabulary - 2], PASSAGE)
    sequence.add([*text, size.vocabulary - 3], ANSWER)


def _tokens(dice: random.Random, size: Size, median: int, spread: float) -> list[int]:
    """Random tokens, of a log-normal number of them."""
    count = max(3, round(dice.lognormvariate(math.log(median), spread)))
    return dice.choices(range(3, size.vocabulary - 3), k=count)


def _config(size: Size, layers: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=MAX_TOKENS,
        tie_word_embeddings=True,
        pad_token_id=PAD,
        bos_token_id=1,
        eos_token_id=EOS,
    )
