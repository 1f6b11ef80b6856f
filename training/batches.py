"""From training sequences to tensors: one batch of Gen's sequences and of the passages they look up."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from semiparametric.embedding import padded
from training.loss import IGNORED
from training.sequences import ANSWER, PASSAGE, TrainingSequence

Item = TypeVar("Item")

SMALLEST = 24
"""Items of the smallest length bucket."""


class Sequences(Dataset[TrainingSequence]):
    """Training sequences in memory."""

    def __init__(self, sequences: Sequence[TrainingSequence]) -> None:
        self.sequences = sequences

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> TrainingSequence:
        return self.sequences[index]


class NeighbourSampler(Sampler[int]):
    """Shuffles examples in runs whose passages stand next to each other in the corpus.

    Neighbours in a corpus (functions of one module, paragraphs of one chapter) are the passages that are hard to tell
    apart, so runs of them make hard negatives out of an ordinary batch. A run holds different passages where it can.

    Args:
        places: The place in the corpus of each example's first passage.
        run: Length of a run; 1 shuffles freely.
        seed: The order depends on it and on the epoch alone.
    """

    def __init__(self, places: Sequence[int], *, run: int, seed: int) -> None:
        self.places = torch.tensor(places, dtype=torch.long)
        self.run = run
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        shuffled = torch.randperm(len(self.places), generator=generator)
        if self.run == 1:
            return iter(shuffled.tolist())
        by_place = shuffled[torch.argsort(self.places[shuffled], stable=True)]
        rounds = _occurrence(self.places[by_place])  # the first examples of all passages, then the second ones, ...
        ordered = by_place[torch.argsort(rounds, stable=True)]
        runs = list(ordered.split(self.run))
        return iter(torch.cat([runs[i] for i in torch.randperm(len(runs), generator=generator).tolist()]).tolist())


class Collator:
    """Pads sequences and passages, and counts each different passage of the batch once.

    Args:
        passage_tokens: Embseq's token ids of each passage. Passages that read the same share one entry's identity.
        gen_pad, embseq_pad: Padding ids.
        passage_tokens_in_ntp: Whether `L_NTP` counts passage tokens.
        cut_share: Share of each batch that is cut after the first `[Ret]`.
    """

    def __init__(
        self,
        passage_tokens: Mapping[str, tuple[int, ...]],
        *,
        gen_pad: int,
        embseq_pad: int,
        passage_tokens_in_ntp: bool,
        cut_share: float = 0.0,
    ) -> None:
        self.passage_tokens = passage_tokens
        self.gen_pad = gen_pad
        self.embseq_pad = embseq_pad
        self.counted = {ANSWER, PASSAGE} if passage_tokens_in_ntp else {ANSWER}
        self.cut_share = cut_share

    def __call__(self, sequences: Sequence[TrainingSequence]) -> dict[str, Any]:
        """See `CoSupervisedModel.forward` for the shapes."""
        whole = len(sequences) - round(self.cut_share * len(sequences))
        cut = [sequence.cut_after_first_lookup() for sequence in sequences[whole:]]
        parts = [*length_buckets(sequences[:whole], _tokens), *length_buckets(cut, _tokens)]
        wanted = [self.passage_tokens[name] for part in parts for sequence in part for name in sequence.passages]
        passages = length_buckets(sorted(set(wanted)), len)
        rows = {tokens: row for row, tokens in enumerate(chain.from_iterable(passages))}
        return {
            "batch": {
                "groups": [self.group(part) for part in parts],
                "passages": [
                    dict(zip(("ids", "mask"), padded(part, self.embseq_pad), strict=True)) for part in passages
                ],
                "targets": torch.tensor([rows[tokens] for tokens in wanted], dtype=torch.long),
            }
        }

    def group(self, sequences: Sequence[TrainingSequence]) -> dict[str, Tensor]:
        """Padded ids, mask and labels `[b, s]`, and the flat positions of each `[Ret]`, of sequences in this order."""
        ids, mask = padded([sequence.ids for sequence in sequences], self.gen_pad)
        labels = torch.full_like(ids, IGNORED)
        for row, sequence in enumerate(sequences):
            kept = [
                token if kind in self.counted else IGNORED
                for token, kind in zip(sequence.ids, sequence.kinds, strict=True)
            ]
            labels[row, : len(kept)] = torch.tensor(kept)
        width = ids.shape[1]
        rets = [row * width + place for row, sequence in enumerate(sequences) for place in sequence.ret_positions]
        return {"ids": ids, "mask": mask, "labels": labels, "rets": torch.tensor(rets, dtype=torch.long)}


def length_buckets(items: Sequence[Item], length: Callable[[Item], int]) -> list[list[Item]]:
    """Split items by length so that little of a padded bucket is padding.

    A bucket ends where its padding would pass a tenth of it, but holds at least `SMALLEST` items: many tiny forward
    passes cost more than some padding.
    """
    buckets: list[list[Item]] = []
    real = 0
    for item in sorted(items, key=length):
        real += length(item)
        if not buckets or (len(buckets[-1]) >= SMALLEST and real < 0.9 * length(item) * (len(buckets[-1]) + 1)):
            buckets.append([])
            real = length(item)
        buckets[-1].append(item)
    return buckets


def _tokens(sequence: TrainingSequence) -> int:
    return len(sequence.ids)


def _occurrence(ordered: Tensor) -> Tensor:
    """For sorted values `[n]`: how many equal values stand before each one, `[n]`."""
    places = torch.arange(len(ordered))
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    return places - torch.where(starts, places, 0).cummax(0).values
