"""A step in chunks: the gradients of one forward and backward pass over the batch, in the memory of one chunk.

InfoNCE joins all rows of a batch, so chunks cannot simply take turns. But it joins them by their vectors alone
(GradCache, arXiv 2101.06983): compute the vectors chunk by chunk and keep only these; find the gradient of the loss for
each vector; then compute each chunk again and go backward from its vectors with their gradients. `L_NTP` needs no first
look: it goes backward with its chunk. The price is a second forward pass of what makes vectors.
"""

import ctypes
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from semiparametric.errors import InputError
from training.gather import num_ranks, total
from training.loss import NextSequence
from training.model import Batch, CoSupervisedModel, Counts

BUCKET = 8_000_000
"""Gradients that travel between ranks together."""

KEPT_FOR = 8
"""Chunks of one shape for which freed memory is kept."""


@dataclass
class _Chunk:
    """One forward pass: some rows of one group or part of the batch.

    Attributes:
        batch: What the model takes.
        shape: Rows and tokens.
        queries, sequences: How many of these vectors it makes, next in order after those of the chunks before it.
        random: The random states that its first pass met: dropout must drop the same in the second.
    """

    batch: Batch
    shape: torch.Size
    queries: int = 0
    sequences: int = 0
    random: list[Tensor] = field(default_factory=list)


def backward(model: nn.Module, batch: Batch, *, chunk_rows: int, scale: float = 1.0) -> dict[str, Tensor]:
    """Add to the weights' gradients what `model(batch)["loss"].backward()` would add.

    Under DDP it averages the gradients over the ranks itself; under FSDP the chunks' own backward passes do.

    Args:
        model: A `CoSupervisedModel`, or one wrapped by DDP or FSDP.
        batch: See `CoSupervisedModel.forward`.
        chunk_rows: Rows of one forward pass at the most: sequences of Gen, passages, or texts so far.
        scale: Factor of the gradients.

    Returns:
        The terms, as `CoSupervisedModel.forward` gives them, without a gradient.

    Raises:
        InputError: `chunk_rows` is less than one.
    """
    if chunk_rows < 1:
        raise InputError(f"a chunk of {chunk_rows} rows holds nothing", where="chunk_rows", remedy="Give at least 1")
    inner = _inner(model)
    called = inner if isinstance(model, DistributedDataParallel) else model  # DDP would exchange after each chunk
    chunks = _chunks(inner, batch, chunk_rows)
    counts = inner.counts(batch)
    nsp, gradients = None, None
    if inner.objective.trains_lookups:
        vectors = _first_pass(called, inner, chunks)
        nsp, gradients = _vector_gradients(inner, vectors, batch, counts, chunk_rows)
    ntp = _second_pass(called, inner, chunks, gradients, counts, scale)
    if called is not model:
        _average_gradients([weight for weight in inner.parameters() if weight.requires_grad])
    return {name: term.detach() for name, term in inner.terms(ntp, nsp, counts).items()}


def _first_pass(model: nn.Module, inner: CoSupervisedModel, chunks: Iterable[_Chunk]) -> dict[str, Tensor]:
    """All `queries` `[q, d]` and `sequences` `[p, d]` of the batch, without what led to them."""
    found: dict[str, list[Tensor]] = {"queries": [], "sequences": []}
    for chunk in _in_turn(chunks, inner):
        if num_ranks() == 1 and not chunk.queries and not chunk.sequences:
            continue  # only `L_NTP` reads it; other ranks could be waiting for this pass, so this is for one alone
        chunk.random = _random_states(inner)
        with torch.no_grad():
            made = model(batch=chunk.batch, only="vectors")
        for name, parts in found.items():
            parts.append(made[name])
    none = torch.zeros(0, inner.spec.dimension, device=inner.gen.device)
    return {name: torch.cat([none, *parts]).requires_grad_() for name, parts in found.items()}


def _vector_gradients(
    inner: CoSupervisedModel, vectors: dict[str, Tensor], batch: Batch, counts: Counts, chunk_rows: int
) -> tuple[NextSequence, dict[str, Tensor]]:
    """`L_NSP` summed over the queries, and the gradient of the loss for each vector.

    Queries are taken in chunks too: the scores of 4,096 queries and as many passages are 64 MiB, several times over.
    """
    columns = inner.columns(vectors["sequences"], batch)
    compared = columns.detach().requires_grad_()
    loss, right = (torch.zeros((), device=columns.device) for _ in range(2))
    for queries, targets in zip(vectors["queries"].split(chunk_rows), batch["targets"].split(chunk_rows), strict=True):
        found = inner.next_sequence(queries, compared, targets)
        inner.objective.loss(torch.zeros_like(loss), num_ranks() * found.loss / counts.queries).backward()
        loss += found.loss.detach()
        right += found.right
    columns.backward(compared.grad)
    return NextSequence(loss, right), {name: _gradient(rows) for name, rows in vectors.items()}


def _second_pass(
    model: nn.Module,
    inner: CoSupervisedModel,
    chunks: Sequence[_Chunk],
    gradients: dict[str, Tensor] | None,
    counts: Counts,
    scale: float,
) -> Tensor:
    """Go backward through each chunk; return the cross entropy summed over the batch's tokens."""
    ntp = torch.zeros((), device=inner.gen.device)
    for chunk, at_queries, at_sequences in zip(_in_turn(chunks, inner), *_shares(chunks, gradients), strict=True):
        with _random_as_in(chunk, inner):
            made = model(batch=chunk.batch, only="parts")
        loss = inner.objective.loss(num_ranks() * made["ntp"] / counts.tokens, torch.zeros_like(ntp))
        # The gradient of this product for a vector is the vector's gradient in the whole batch.
        loss = loss + (made["queries"] * at_queries).sum() + (made["sequences"] * at_sequences).sum()
        if loss.requires_grad:
            (scale * loss).backward()
        ntp += made["ntp"].detach()
    return ntp


def _shares(chunks: Sequence[_Chunk], gradients: dict[str, Tensor] | None) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """The gradients of each chunk's queries, and those of its sequences; where lookups are not trained, zeros."""
    if gradients is None:
        nothing = [torch.zeros(())] * len(chunks)
        return nothing, nothing
    return (
        gradients["queries"].split([chunk.queries for chunk in chunks]),
        gradients["sequences"].split([chunk.sequences for chunk in chunks]),
    )


def _chunks(inner: CoSupervisedModel, batch: Batch, chunk_rows: int) -> list[_Chunk]:
    """The batch's forward passes, as many on each rank; their vectors come in the order of the whole batch's."""
    kinds = inner.kinds(batch)
    split = batch | {kind: [part for whole in batch[kind] for part in _split(whole, chunk_rows)] for kind in kinds}
    split = inner.in_step(split)
    # A chunk says whether texts are the queries, as the batch does.
    texts: Batch = {"queries": []} if "queries" in batch else {}
    return [_chunk(kind, part, texts) for kind in kinds for part in split[kind]]


def _chunk(kind: str, part: dict[str, Tensor], texts: Batch) -> _Chunk:
    rows = 0 if "filler" in part else len(part["ids"])
    queries = {"groups": 0 if texts else len(part.get("rets", ())), "queries": rows, "passages": 0}
    return _Chunk(texts | {kind: [part]}, part["ids"].shape, queries[kind], rows if kind == "passages" else 0)


def _in_turn(chunks: Iterable[_Chunk], inner: CoSupervisedModel) -> Iterator[_Chunk]:
    """The chunks; before one of another shape, and now and then, what was freed goes back to the system.

    The C library keeps it, in pieces that do not fit what comes next: without this, resident memory grew by 40 % from
    256 to 4,096 pairs. After each chunk it would cost a third of the time, to fetch memory anew.
    """
    give_back = _malloc_trim() if inner.gen.device.type == "cpu" else None
    shape, since = None, 0
    for chunk in chunks:
        if give_back is not None and (chunk.shape != shape or since == KEPT_FOR):
            give_back(0)
            since = 0
        shape = chunk.shape
        since += 1
        yield chunk


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    """That of glibc, where it is the C library."""
    try:
        found: Callable[[int], int] = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return None
    return found


def _split(part: dict[str, Tensor], chunk_rows: int) -> Iterator[dict[str, Tensor]]:
    """A group or part as several of at most `chunk_rows` rows; flat positions are counted anew in each."""
    num_rows, width = part["ids"].shape
    for start in range(0, num_rows, chunk_rows):
        stop = min(start + chunk_rows, num_rows)
        chunk = {name: rows[start:stop] for name, rows in part.items() if name != "rets"}
        if "rets" in part:
            here = (part["rets"] >= start * width) & (part["rets"] < stop * width)
            chunk["rets"] = part["rets"][here] - start * width
        yield chunk


def _random_states(inner: CoSupervisedModel) -> list[Tensor]:
    device = inner.gen.device
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


@contextmanager
def _random_as_in(chunk: _Chunk, inner: CoSupervisedModel) -> Iterator[None]:
    """The random states of the chunk's first pass, if it had one, and afterwards those from before."""
    if not chunk.random:
        yield
        return
    device = inner.gen.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.set_rng_state(chunk.random[0])
        if device.type == "cuda":
            torch.cuda.set_rng_state(chunk.random[1], device)
        yield


def _average_gradients(weights: Sequence[nn.Parameter]) -> None:
    """Give each weight the mean of its gradients over the ranks; a weight that no rank used stays without one."""
    used = total(
        torch.tensor([weight.grad is not None for weight in weights], dtype=torch.long, device=weights[0].device)
    )
    bucket: list[Tensor] = []
    for weight, times in zip(weights, used.tolist(), strict=True):
        if not times:
            continue
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        if sum(gradient.numel() for gradient in bucket) > BUCKET or (bucket and bucket[0].dtype != weight.grad.dtype):
            _average(bucket)
            bucket = []
        bucket.append(weight.grad)
    _average(bucket)


def _average(gradients: Sequence[Tensor]) -> None:
    """Replace tensors of one type by their means over the ranks, in one exchange."""
    if not gradients:
        return
    flat = torch.cat([gradient.ravel() for gradient in gradients]) / num_ranks()
    dist.all_reduce(flat)
    for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def _inner(model: nn.Module) -> CoSupervisedModel:
    """The model under the wrappers."""
    while not isinstance(model, CoSupervisedModel):
        model = model.get_submodule("module")
    return model


def _gradient(rows: Tensor) -> Tensor:
    return torch.zeros_like(rows) if rows.grad is None else rows.grad
