"""What all sides of `benchmarks.decoding` share: a random model, a store, questions, and the shape of the answers."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from semiparametric.codec import Codec
from semiparametric.control import ControlTokens, add_control_tokens
from semiparametric.formats import Passage
from semiparametric.pair import Gen, GenFolder
from semiparametric.spec import PairSpec, PassageForm, PromptForm
from semiparametric.store import BuildRecord, Store, VersionWriter
from semiparametric.store.index_plan import IndexPlan

PLAIN, CITED = 16, 32  # free tokens before each [Ret] and in each cited segment
QUESTION_WORDS, PASSAGE_TOKENS = 30, 120


@dataclass(frozen=True)
class Size:
    """How big the scene is.

    hidden, layers: the model's.
    words: its vocabulary without special tokens.
    clients: how many questions are asked at once, one count after the other.
    crowd: of these, the count at which the authors' protocol is compared.
    """

    hidden: int
    layers: int
    words: int
    passages: int
    clients: tuple[int, ...]
    crowd: int
    rounds: int


FULL = Size(hidden=512, layers=8, words=31994, passages=5000, clients=(1, 16, 64), crowd=16, rounds=3)
SMOKE = Size(hidden=64, layers=2, words=200, passages=20, clients=(1, 3), crowd=3, rounds=1)


@dataclass(frozen=True)
class Scene:
    """One model, one store and the questions, the same for all sides."""

    gen: Gen
    folder: GenFolder  # of the same Gen, for backends that load it themselves
    store: Store
    questions: list[str]


def make_scene(size: Size, folder: Path) -> Scene:
    """Random weights, random passages, random sequence embeddings; all from fixed seeds."""
    dice = random.Random(0)
    words = [f"w{number}" for number in range(size.words)]
    gen = random_gen(size, words)
    gen.model.save_pretrained(folder / "gen")
    saved = GenFolder(folder / "gen", gen.model.config, gen.tokenizer, gen.spec, gen.codec)
    passages = random_passages(size, words, dice)
    questions = [" ".join(dice.choices(words, k=QUESTION_WORDS)) for _ in range(max(size.clients))]
    publish_random(passages, size.hidden, folder / "index")
    return Scene(gen, saved, Store.open(folder / "index"), questions)


def random_passages(size: Size, words: list[str], dice: random.Random) -> list[Passage]:
    """Passages of random words, a little longer than what Gen reads of them."""
    return [
        Passage(id=f"p{number}", text=" ".join(dice.choices(words, k=PASSAGE_TOKENS + 30)))
        for number in range(size.passages)
    ]


def schedule(control: ControlTokens, eos_id: int, lookups: int) -> list[int | None]:
    """The shape of an answer: the token that is forced at each place, None where the model chooses a plain one.

    Random weights ask for nothing by themselves, so all sides are made to ask at the same places.
    """
    once = [*[None] * PLAIN, control.ret, *[None] * CITED, control.ce]
    return [*once * lookups, eos_id]


def random_gen(size: Size, words: list[str]) -> Gen:
    """A Llama of random weights, and a tokenizer that knows these words."""
    vocabulary = {word: index for index, word in enumerate(["<unk>", "<s>", "</s>", *words])}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    control = add_control_tokens(tokenizer)
    spec = PairSpec(
        control=control,
        prompt=PromptForm(template="{question}"),
        passage=PassageForm(template="{text}", max_tokens=PASSAGE_TOKENS),
        similarity="cosine",
        dimension=size.hidden,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size.hidden,
        intermediate_size=3 * size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.hidden // min(64, size.hidden // 2),
        max_position_embeddings=1024,
        bos_token_id=1,
        eos_token_id=2,
    )
    return Gen(LlamaForCausalLM(config).eval(), tokenizer, spec, Codec(tokenizer, spec))


def publish_random(passages: list[Passage], dimension: int, folder: Path, *, fingerprint: str = "random") -> None:
    """Publish an index of passages with random vectors."""
    vectors = np.random.default_rng(0).standard_normal((len(passages), dimension), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    writer = VersionWriter(folder)
    corpus = writer.write_passages(passages)
    index = writer.write_vectors([vectors], IndexPlan.flat(dimension))
    now = datetime.now(UTC)
    build = BuildRecord(sources=["random"], settings={}, libraries={}, started=now, finished=now)
    writer.publish(name="random", fingerprint=fingerprint, corpus=corpus, index=index, build=build)
