"""Token ids as batches: neighbours in length, so that little of what is computed is padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_PADDING = 0.04
"""Share of a batch that may be padding. One batch more costs less than computing what nobody reads."""


@dataclass(frozen=True)
class Batch:
    """Sequences that are encoded at once.

    rows: Which of the sequences they are, `b` of them.
    ids: Right-padded token ids, `int64[b, s]`.
    mask: 1 for real tokens, 0 for padding, `int64[b, s]`.
    tokens: Real tokens.
    """

    rows: list[int]
    ids: Tensor
    mask: Tensor
    tokens: int

    @property
    def padding(self) -> int:
        """Tokens computed that are none."""
        return self.ids.numel() - self.tokens

    def pinned(self) -> "Batch":
        """The same in memory that a GPU copies from while it computes."""
        return Batch(self.rows, self.ids.pin_memory(), self.mask.pin_memory(), self.tokens)


def make_batches(
    sequences: Sequence[Sequence[int]], *, batch_tokens: int, pad_id: int, length: int | None = None
) -> Iterator[Batch]:
    """Batches of sequences of like length, the longest first; the same ones for the same lengths.

    Args:
        sequences: Token ids.
        batch_tokens: Tokens of one batch at the most, padding included (one longer sequence is a batch of its own).
        pad_id: The token that fills rows up.
        length: What every row is filled up to; None fills up to the longest of the batch.
    """
    lengths = [len(sequence) for sequence in sequences]
    for rows in buckets([length or each for each in lengths], batch_tokens):
        ids, mask = padded([sequences[row] for row in rows], pad_id, length=length)
        yield Batch(rows, ids, mask, sum(lengths[row] for row in rows))


def buckets(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers of one batch after another, each with at most `MAX_PADDING` of padding."""
    batch: list[int] = []
    held = 0  # real tokens of the batch
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        computed = (len(batch) + 1) * lengths[batch[0]] if batch else 0
        if computed > batch_tokens or computed - held - lengths[row] > MAX_PADDING * computed:
            yield batch
            batch, held = [], 0
        batch.append(row)
        held += lengths[row]
    if batch:
        yield batch


def padded(sequences: Sequence[Sequence[int]], pad_id: int, *, length: int | None = None) -> tuple[Tensor, Tensor]:
    """Right-padded ids and their mask, both `int64[b, s]`; `s` is `length`, or that of the longest sequence."""
    width = length or max((len(sequence) for sequence in sequences), default=1)
    ids = torch.full((len(sequences), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(sequences), width), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return ids, mask
