"""The objective: `L = L_NTP + lambda * L_NSP` (arXiv 2403.09024, section 3)."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

IGNORED = -100


@dataclass
class NextSequence:
    """`L_NSP` of a batch and how often the right passage came first among the batch's passages."""

    loss: Tensor
    accuracy: Tensor


def next_token_loss(states: Tensor, labels: Tensor, head: nn.Module) -> Tensor:
    """`L_NTP`: mean cross entropy of the labels that count.

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
    return F.cross_entropy(head(states[:, :-1][counts]).float(), targets[counts])


def next_sequence_loss(queries: Tensor, sequences: Tensor, targets: Tensor, *, temperature: float) -> NextSequence:
    """`L_NSP`: InfoNCE of each query state against all different passages of the batch.

    Args:
        queries: Gen's states at `[Ret]`, `[q, d]`, normalised already where the pair compares by cosine.
        sequences: Embseq's vectors of the batch's passages, each passage once, `[p, d]`. Because each stands once,
            a passage that two examples cite is never its own negative.
        targets: The row of `sequences` that belongs to each query, `int64[q]`.
        temperature: Divisor of the scores.
    """
    if queries.shape[0] == 0:
        zero = (queries.sum() + sequences.sum()) * 0.0
        return NextSequence(zero, zero.detach())
    scores = queries.float() @ sequences.float().T / temperature  # [q, p]
    right = (scores.argmax(1) == targets).float().mean()
    return NextSequence(F.cross_entropy(scores, targets), right.detach())
