"""From training sequences to tensors: one batch of Gen's sequences and of the passages they look up."""

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from semiparametric.batching import padded
from training.loss import IGNORED
from training.sequences import ANSWER, PASSAGE, TrainingSequence

Item = TypeVar("Item")

SMALLEST = 24
"""Items of the smallest length bucket, unless it holds `ENOUGH` tokens."""

ENOUGH = 1024
"""Tokens from which a forward pass is worth its start, however few items they come from."""

Tokens = tuple[int, ...]


class Sequences(Dataset[TrainingSequence]):
    """Training sequences in memory; index `n + i` of `n` sequences is sequence `i` cut after its first `[Ret]`."""

    def __init__(self, sequences: Sequence[TrainingSequence]) -> None:
        self.sequences = sequences

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> TrainingSequence:
        sequence = self.sequences[index % len(self)]
        return sequence if index < len(self) else sequence.cut_after_first_lookup()


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


class WholeBatches(Sampler[int]):
    """The order of a sampler in whole global batches, each dealt out to the parts that it is computed in.

    Which examples share a batch, and which of them are cut, does not depend on the number of parts, so a run is the
    same run on any number of processes. The parts get equal shares of whole and of cut sequences: none waits long for
    another.

    Args:
        order: The order of the examples; what would not fill its last batch is left out.
        batch_size: Examples of a global batch.
        parts: Processes times accumulation steps; each gets a slice of the batch.
        cut_share: Share of each batch that is cut after the first `[Ret]`.
    """

    def __init__(self, order: NeighbourSampler, *, batch_size: int, parts: int = 1, cut_share: float = 0.0) -> None:
        self.order = order
        self.batch_size = batch_size
        whole = batch_size - round(cut_share * batch_size)
        self.places = [(place, place >= whole) for place in _dealt(batch_size, whole, parts)]

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order the next iteration gives."""
        self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.order) // self.batch_size * self.batch_size

    def __iter__(self) -> Iterator[int]:
        indices = iter(self.order)
        for _ in range(0, len(self), self.batch_size):
            batch = list(islice(indices, self.batch_size))
            yield from (batch[place] + is_cut * len(self.order) for place, is_cut in self.places)


class Collator:
    """Pads sequences and passages, and counts each different passage of the batch once.

    Args:
        passage_tokens: Embseq's token ids of each passage. Passages that read the same share one entry's identity.
        gen_pad, embseq_pad: Padding ids.
        passage_tokens_in_ntp: Whether `L_NTP` counts passage tokens.
        query_tokens: The query encoder's token ids of each text so far, where lookups are made with text; the batch
            then holds lookups alone, without Gen's sequences.
        hard_negatives: Of each lookup, how many of its negatives join the batch's passages: the first ones.
        with_passages: Whether batches hold the passages that are looked up; `L_NTP` alone needs none.
    """

    def __init__(
        self,
        passage_tokens: Mapping[str, Tokens],
        *,
        gen_pad: int,
        embseq_pad: int,
        passage_tokens_in_ntp: bool,
        query_tokens: Mapping[str, Tokens] | None = None,
        hard_negatives: int = 0,
        with_passages: bool = True,
    ) -> None:
        self.passage_tokens = passage_tokens
        self.gen_pad = gen_pad
        self.embseq_pad = embseq_pad
        self.counted = {ANSWER, PASSAGE} if passage_tokens_in_ntp else {ANSWER}
        self.query_tokens = query_tokens
        self.hard_negatives = hard_negatives
        self.with_passages = with_passages

    def __call__(self, sequences: Sequence[TrainingSequence]) -> dict[str, Any]:
        """See `CoSupervisedModel.forward` for the shapes.

        Beside what that reads, the batch holds `examples`, the ids of its examples, and `tokens`, how many tokens it
        has and how many are computed with the padding.
        """
        batch = self._by_state(sequences) if self.query_tokens is None else self._by_text(sequences)
        wanted: list[Tokens] = batch.pop("wanted") if self.with_passages else []
        negatives = self._negatives(sequences) if self.with_passages else []
        passages = length_buckets(sorted({*wanted, *(self.passage_tokens[name] for name in negatives)}), len)
        rows = {tokens: row for row, tokens in enumerate(chain.from_iterable(passages))}
        batch |= {
            "passages": [self._padded(part) for part in passages],
            "targets": torch.tensor([rows[tokens] for tokens in wanted], dtype=torch.long),
            "sequence_keys": torch.tensor([sequence_key(tokens) for tokens in rows], dtype=torch.long),
            "examples": [sequence.example for sequence in sequences],
        }
        return {"batch": batch | {"tokens": _token_counts(batch)}}

    def _by_state(self, sequences: Sequence[TrainingSequence]) -> dict[str, Any]:
        """Gen's sequences in groups, and the passages that their `[Ret]`s want, in order."""
        whole = [sequence for sequence in sequences if not sequence.is_cut]
        cut = [sequence for sequence in sequences if sequence.is_cut]
        parts = [*length_buckets(whole, _tokens), *length_buckets(cut, _tokens)]
        wanted = [self.passage_tokens[name] for part in parts for sequence in part for name in sequence.passages]
        return {"groups": [self.group(part) for part in parts], "wanted": wanted}

    def _by_text(self, sequences: Sequence[TrainingSequence]) -> dict[str, Any]:
        """The texts so far of all lookups, and the passages that they want, in order."""
        texts = self.query_tokens or {}
        lookups = [
            (texts[text], self.passage_tokens[name])
            for sequence in sequences
            for text, name in zip(sequence.queries, sequence.passages, strict=True)
        ]
        parts = length_buckets(lookups, lambda lookup: len(lookup[0]))
        return {
            "groups": [],
            "queries": [self._padded([text for text, _ in part]) for part in parts],
            "wanted": [passage for part in parts for _, passage in part],
        }

    def _negatives(self, sequences: Sequence[TrainingSequence]) -> Iterator[str]:
        for sequence in sequences:
            for negatives in sequence.negatives:
                yield from negatives[: self.hard_negatives]

    def _padded(self, tokens: Sequence[Tokens]) -> dict[str, Tensor]:
        ids, mask = padded(tokens, self.embseq_pad)
        return {"ids": ids, "mask": mask}

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

    A bucket ends where its padding would pass a tenth of it, but holds at least `SMALLEST` items or `ENOUGH` tokens:
    many tiny forward passes cost more than some padding.
    """
    buckets: list[list[Item]] = []
    real, is_full = 0, False
    for item in sorted(items, key=length):
        real += length(item)
        if not buckets or (is_full and real < 0.9 * length(item) * (len(buckets[-1]) + 1)):
            buckets.append([])
            real = length(item)
        buckets[-1].append(item)
        is_full = len(buckets[-1]) >= SMALLEST or real >= ENOUGH
    return buckets


def sequence_key(tokens: Tokens) -> int:
    """63 bits that tell a passage's tokens from all others', the same on every machine."""
    digest = hashlib.blake2b(array("q", tokens).tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _dealt(batch_size: int, whole: int, parts: int) -> list[int]:
    """The places of a batch, whose first `whole` ones are whole, in the order of equal slices for `parts`."""
    order: list[int] = []
    cut = whole
    for part in range(parts):
        first, last = whole * part // parts, whole * (part + 1) // parts
        num_cut = batch_size // parts - (last - first)
        order += [*range(first, last), *range(cut, cut + num_cut)]
        cut += num_cut
    return order


def _token_counts(batch: Mapping[str, Any]) -> tuple[int, int]:
    """Tokens of a batch, without and with padding."""
    masks = [part["mask"] for kind in ("groups", "queries", "passages") for part in batch.get(kind, [])]
    return sum(int(mask.sum()) for mask in masks), sum(mask.numel() for mask in masks)


def _tokens(sequence: TrainingSequence) -> int:
    return len(sequence.ids)


def _occurrence(ordered: Tensor) -> Tensor:
    """For sorted values `[n]`: how many equal values stand before each one, `[n]`."""
    places = torch.arange(len(ordered))
    starts = torch.ones_like(ordered, dtype=torch.bool)
    starts[1:] = ordered[1:] != ordered[:-1]
    return places - torch.where(starts, places, 0).cummax(0).values
