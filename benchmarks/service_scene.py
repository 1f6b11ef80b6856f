"""What both sides of the HTTP measurement share: a random pair on disk, an index of it, and questions."""

import random
from dataclasses import dataclass
from pathlib import Path

from transformers import LlamaConfig, LlamaModel

from benchmarks.decoding_scene import FULL, QUESTION_WORDS, SMOKE, Size, publish_random, random_gen, random_passages
from semiparametric.pair import save_pair

CLIENTS = 16
TOKENS = range(24, 73)
"""How long an answer may be: one of these. Answers of one length would all end, and be asked, in one moment."""


@dataclass(frozen=True)
class Round:
    """How much is measured.

    size: the model's and the index's.
    questions: asked of each side in each round.
    rounds: in each of which the sides take turns.
    apart_s: between the first questions of two clients, a sixteenth of an answer or so. Asked in one moment, a third of
        all questions would wait for one another.
    """

    size: Size
    questions: int
    rounds: int
    apart_s: float


WHOLE = Round(FULL, questions=3 * CLIENTS, rounds=5, apart_s=0.4)
SMALL = Round(SMOKE, questions=CLIENTS + 2, rounds=1, apart_s=0.01)


@dataclass(frozen=True)
class Question:
    """What is asked, and the most tokens of its answer."""

    text: str
    max_new_tokens: int


@dataclass(frozen=True)
class ServedScene:
    """A pair and an index to serve, and what is asked of them."""

    pair: Path
    index: Path
    questions: list[Question]
    parameters: int


def make_served_scene(measured: Round, folder: Path) -> ServedScene:
    """Random weights, passages and sequence embeddings, all from fixed seeds."""
    dice, size = random.Random(0), measured.size
    words = [f"w{number}" for number in range(size.words)]
    gen = random_gen(size, words)
    config = gen.model.config.to_dict() | {"num_hidden_layers": 1}
    embseq = LlamaModel(LlamaConfig(**config))  # never run: the vectors are random
    spec = save_pair(
        folder / "pair",
        gen_model=gen.model,
        gen_tokenizer=gen.tokenizer,
        embseq_model=embseq,
        embseq_tokenizer=gen.tokenizer,
        spec=gen.spec,
    )
    passages = random_passages(size, words, dice)
    publish_random(passages, size.hidden, folder / "random", fingerprint=spec.fingerprint)
    questions = [
        Question(" ".join(dice.choices(words, k=QUESTION_WORDS)), dice.choice(TOKENS))
        for _ in range(measured.questions)
    ]
    return ServedScene(folder / "pair", folder / "random", questions, gen.model.num_parameters())
