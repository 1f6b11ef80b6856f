"""What a run reads: passages, examples, and the sequences made of them."""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from semiparametric.codec import Codec
from semiparametric.embedding import tokenize_passages, tokenize_queries
from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, read_examples, read_passages
from semiparametric.spec import PairSpec
from training.sequences import ANSWER, PROMPT, TrainingSequence, training_sequence
from training.settings import Pretraining, TrainSettings


@dataclass
class TrainingData:
    """Passages by id, the first ones of each file, places in the corpus, and the examples over them."""

    passages: dict[str, Passage]
    samples: list[Passage]
    places: dict[str, int]
    train: list[Example]
    held_out: dict[str, list[Example]]

    def passage_tokens(self, tokenizer: PreTrainedTokenizerBase, spec: PairSpec) -> dict[str, tuple[int, ...]]:
        """Embseq's token ids of every passage."""
        tokens = tokenize_passages(tokenizer, spec, list(self.passages.values()))
        return {name: tuple(ids) for name, ids in zip(self.passages, tokens, strict=True)}

    def searched(self, limit: int | None) -> set[str]:
        """Ids of the passages that checks search: the first `limit` of the corpus, and the gold ones."""
        gold = {segment.passage_id for examples in self.held_out.values() for e in examples for segment in e.cited}
        return {*islice(self.passages, limit), *(name for name in gold if name is not None)}

    def query_tokens(
        self, sequences: Iterable[TrainingSequence], tokenizer: PreTrainedTokenizerBase, spec: PairSpec
    ) -> dict[str, tuple[int, ...]]:
        """The query encoder's token ids of every text so far."""
        texts = sorted({text for sequence in sequences for text in sequence.queries})
        return {text: tuple(ids) for text, ids in zip(texts, tokenize_queries(tokenizer, spec, texts), strict=True)}

    def sequences(self, examples: Iterable[Example], codec: Codec, max_tokens: int) -> list[TrainingSequence]:
        """Training sequences of examples."""
        return [training_sequence(example, self.passages, codec, max_tokens=max_tokens) for example in examples]


def load_data(settings: TrainSettings) -> TrainingData:
    """Read and check everything before any model is made.

    Raises:
        InputError: A file or line is wrong, an id stands in two corpora, or there is nothing to train on.
    """
    passages: dict[str, Passage] = {}
    samples: list[Passage] = []
    for path in settings.corpus:
        for number, passage in enumerate(read_passages(path)):
            if passage.id in passages:
                raise InputError(f"the passage {passage.id!r} stands in another corpus too", where=str(path))
            passages[passage.id] = passage
            if number < settings.scratch.tokenizer_passages:
                samples.append(passage)
    if not passages:
        raise InputError("there are no passages", where=", ".join(map(str, settings.corpus)))
    train = list(chain.from_iterable(read_examples(path) for path in settings.train))
    if not train:
        raise InputError("there are no training examples", where=", ".join(map(str, settings.train)))
    if settings.hard_negatives and not any(segment.negatives for example in train for segment in example.cited):
        raise InputError(
            f"hard_negatives is {settings.hard_negatives}, but no example names negatives",
            where=", ".join(map(str, settings.train)),
            remedy="Mine them with `cosup examples mine`, or leave hard_negatives out",
        )
    held_out = {name: _sample(path, settings) for name, path in settings.held_out.items()}
    return TrainingData(passages, samples, {name: place for place, name in enumerate(passages)}, train, held_out)


def pretraining_sequences(
    passages: Iterable[Passage], codec: Codec, stage: Pretraining, *, seed: int
) -> Sequence[TrainingSequence]:
    """The corpus as blocks of `block_tokens`, passages in random order with EOS between them.

    A block that repeats says a stretch of its own text again: what is repeated can be predicted by copying alone, which
    a small model learns in far fewer steps than from passages and the answers taken from them. The stretch's length,
    place and distance vary, since a fixed distance would be learnt as a position instead. Of such a block only what is
    repeated counts.
    """
    shuffled = list(passages)
    order = random.Random(seed)  # noqa: S311 - an order, not a secret
    order.shuffle(shuffled)
    stream = chain.from_iterable((*codec.passage(passage), codec.eos_id) for passage in shuffled)
    blocks: list[TrainingSequence] = []
    while True:
        again = 0
        if order.random() < stage.repeat_share:
            again = order.randint(stage.block_tokens // 8, stage.block_tokens // 2)
        text = list(islice(stream, stage.block_tokens - again))
        if not text:
            return blocks
        place = order.randint(0, max(0, len(text) - again))
        sequence = TrainingSequence()
        sequence.add(text, PROMPT if again else ANSWER)
        sequence.add(text[place : place + again], ANSWER)
        blocks.append(sequence)


def _sample(path: Path, settings: TrainSettings) -> list[Example]:
    examples = list(read_examples(path))
    random.Random(settings.seed).shuffle(examples)  # noqa: S311 - a sample, not a secret
    return examples[: settings.held_out_limit]
