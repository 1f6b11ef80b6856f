"""What the ranks of a run tell one another, so that a step is the step of their batches taken together.

DDP and FSDP average gradients over the ranks. A rank's loss is therefore its share of the sum over the tokens (or the
queries) of all ranks, divided by their number over all ranks, times the number of ranks: the average is then the
gradient of the global mean, however unevenly tokens and lookups are spread. In one process all of this is the identity.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

Item = TypeVar("Item")
Gather = Literal["none", "sequences", "all"]


def num_ranks() -> int:
    """Processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def total(value: Tensor) -> Tensor:
    """The sum of a tensor over all ranks, without a gradient."""
    summed = value.detach().clone()
    if num_ranks() > 1:
        dist.all_reduce(summed)
    return summed


def in_step(items: Sequence[Item], filler: Item, device: torch.device) -> list[Item]:
    """As many items on each rank: a rank that has fewer, or none, gets fillers.

    Each item is a forward pass. FSDP exchanges weights in each one, and DDP waits for a gradient of each weight: a rank
    with fewer passes would leave the others waiting for ever.
    """
    if num_ranks() == 1:
        return list(items)
    most = torch.tensor(max(1, len(items)), device=device)
    dist.all_reduce(most, dist.ReduceOp.MAX)
    return [*items, *[filler] * (int(most) - len(items))]


def gathered(sequences: Tensor, keys: Tensor | None, gather: Gather) -> Tensor:
    """The sequence embeddings that this rank's queries are compared with.

    Args:
        sequences: This rank's, each passage once, `[p, d]`; ranks may have different numbers of them.
        keys: What tells passages apart, `int64[p]`; needed where there are several ranks. A passage that stands on
            several ranks is compared once, or it would be its own negative.
        gather: `none` leaves other ranks out. `sequences` adds theirs as constants: each rank sees all negatives, but
            a sequence embedding learns from its own rank's queries alone. `all` lets it learn from all queries, so that
            the averaged gradient is that of one process with the global batch.

    Returns:
        `[P, d]`, first this rank's rows in their order, then those of the others that this rank has not.
    """
    if gather == "none" or num_ranks() == 1:
        return sequences
    if keys is None:
        raise ValueError("sequences of several ranks are told apart by keys; there are none")
    counts = _counts(sequences)
    exchange: Callable[[Tensor, list[int]], Tensor] = _Gather.apply if gather == "all" else _all_gather
    everything = exchange(sequences, counts)
    return torch.cat([sequences, everything[_foreign(keys, counts).to(everything.device)]])


def _foreign(keys: Tensor, counts: list[int]) -> Tensor:
    """Rows of the gathered passages that this rank has not, each passage once."""
    rank = dist.get_rank()
    found = _all_gather(keys, counts).tolist()
    mine = range(sum(counts[:rank]), sum(counts[: rank + 1]))
    seen = {found[row] for row in mine}
    rows = []
    for row, key in enumerate(found):
        if key not in seen:
            seen.add(key)
            rows.append(row)
    return torch.tensor(rows, dtype=torch.long)


class _Gather(torch.autograd.Function):
    """Rows of all ranks; backward, a rank's rows get the sum of what all ranks found for them.

    The order of collectives is the same on all ranks although DDP has its own: autograd goes backward through what was
    made last, which is this, before it reaches any weight.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _all_gather(rows, counts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient.split(ctx.counts)[dist.get_rank()], None


def _counts(rows: Tensor) -> list[int]:
    """How many rows each rank has."""
    count = torch.tensor([rows.shape[0]], device=rows.device)
    counts = [torch.empty_like(count) for _ in range(num_ranks())]
    dist.all_gather(counts, count)
    return [int(each) for each in counts]


def _all_gather(rows: Tensor, counts: list[int]) -> Tensor:
    """Rows of all ranks in the order of the ranks; padded on the way, since collectives move equal shapes."""
    most = max(counts)
    sent = rows.detach().new_zeros(most, *rows.shape[1:])
    sent[: rows.shape[0]] = rows.detach()
    received = [torch.empty_like(sent) for _ in counts]
    dist.all_gather(received, sent)
    return torch.cat([part[:count] for part, count in zip(received, counts, strict=True)])
