"""The objective: `L = L_NTP + lambda * L_NSP` (arXiv 2403.09024, section 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IGNORED = -100

Supervision = Literal["ntp", "nsp", "co-supervised"]


@dataclass(frozen=True)
class Objective:
    """Which losses count, and how much."""

    supervision: Supervision
    nsp_weight: float = 1.0

    @property
    def trains_tokens(self) -> bool:
        """Whether `L_NTP` counts."""
        return self.supervision != "nsp"

    @property
    def trains_lookups(self) -> bool:
        """Whether `L_NSP` counts."""
        return self.supervision != "ntp"

    def loss(self, ntp: Tensor, nsp: Tensor) -> Tensor:
        """`L` from `L_NTP` and `L_NSP`; linear in both, so that shares of them may be given one after the other."""
        if self.supervision == "co-supervised":
            return ntp + self.nsp_weight * nsp
        return ntp if self.trains_tokens else nsp


@dataclass
class NextSequence:
    """InfoNCE summed over some queries, and for how many of them the right passage came first."""

    loss: Tensor
    right: Tensor


def counted_tokens(labels: Tensor) -> Tensor:
    """How many labels `[b, s]` count in `L_NTP`: the first of a row has no state before it that could predict it."""
    return (labels[:, 1:] != IGNORED).sum()


def next_token_sum(states: Tensor, labels: Tensor, head: nn.Module) -> Tensor:
    """Sum of the cross entropy of the labels that count.

    Args:
        states: Gen's last-layer states, `[b, s, d]`.
        labels: The token ids themselves, `IGNORED` where a token does not count, `int64[b, s]`.
        head: Gen's output projection, `[., d] -> [., v]`; applied only where a label counts, since most of the
            time and memory of a small model would go into logits that nobody reads.

    Returns:
        A scalar; zero (with a gradient path) where nothing counts.
    """
    targets = labels[:, 1:]  # the state at position i predicts the token at i + 1
    counts = targets != IGNORED
    if not bool(counts.any()):
        return states.sum() * 0.0
    return F.cross_entropy(head(states[:, :-1][counts]).float(), targets[counts], reduction="sum")


def next_token_loss(states: Tensor, labels: Tensor, head: nn.Module) -> Tensor:
    """`L_NTP`: mean cross entropy of the labels that count; arguments as in `next_token_sum`."""
    return next_token_sum(states, labels, head) / counted_tokens(labels).clamp(min=1)


def next_sequence_sum(
    queries: Tensor,
    sequences: Tensor,
    targets: Tensor,
    *,
    temperature: float,
    leading_dimensions: Sequence[int] = (),
    unit: bool = False,
) -> NextSequence:
    """InfoNCE of each query against all different passages of the batch, summed over the queries.

    Args:
        queries: Query vectors as they are compared, `[q, d]`.
        sequences: The batch's sequence embeddings, each passage once, `[p, d]`. Because each stands once, a passage
            that two examples cite is never its own negative.
        targets: The row of `sequences` that belongs to each query, `int64[q]`.
        temperature: Divisor of the scores.
        leading_dimensions: Sizes at which leading dimensions shall serve alone: the loss is the mean over these and
            the full size (Matryoshka). What comes first is judged at the full size.
        unit: Whether vectors are of unit length, so that cut ones are brought back to it.
    """
    if queries.shape[0] == 0:
        zero = (queries.sum() + sequences.sum()) * 0.0
        return NextSequence(zero, zero.detach())
    losses = []
    with torch.autocast(queries.device.type, enabled=False):  # bf16 scores, divided by 0.05, would be off by a tenth
        for size in (*leading_dimensions, queries.shape[1]):
            scores = _cut(queries, size, unit) @ _cut(sequences, size, unit).T / temperature  # [q, p]
            losses.append(F.cross_entropy(scores, targets, reduction="sum"))
    right = (scores.argmax(1) == targets).float().sum()  # of the last size, the full one
    return NextSequence(sum(losses[1:], losses[0]) / len(losses), right.detach())


def _cut(vectors: Tensor, size: int, unit: bool) -> Tensor:
    """Leading dimensions of vectors `[n, d]`, `float32[n, size]`."""
    cut = vectors[:, :size].float()
    return F.normalize(cut, dim=-1) if unit and size < vectors.shape[1] else cut
