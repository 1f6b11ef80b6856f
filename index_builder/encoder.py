"""Shards made from their passages: the same for every engine, in this process, in a worker's or in a cluster's."""

import os
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from semiparametric.batching import Batch
from semiparametric.embedding import embed_batches, token_batches, tokenize_rendered
from semiparametric.errors import InputError
from semiparametric.pair import load_embseq

FEW_PRIMITIVES = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16", "LRU_CACHE_CAPACITY": "16"}
"""How many oneDNN and torch's layer above it keep; each reads its own when it is first used in a process."""

OnPassages = Callable[[int], None]
"""Is told how many more passages are encoded."""


@dataclass(frozen=True)
class EncoderPlan:
    """What a process must know to encode: it can be sent anywhere.

    pair: The pair's folder.
    device: Where Embseq runs.
    dtype: What it computes in.
    threads: Of torch.
    batch_tokens: Tokens encoded at once.
    dimension: Leading dimensions to keep; None keeps all.
    """

    pair: Path
    device: str
    dtype: str
    threads: int
    batch_tokens: int
    dimension: int | None


@dataclass(frozen=True)
class ShardJob:
    """A shard to be made.

    number: Which.
    texts: The passages to encode, in the pair's form.
    """

    number: int
    texts: list[str]


@dataclass(frozen=True)
class Counts:
    """What was encoded, counted.

    passages: Passages encoded.
    tokens: Their tokens that were read.
    padding: Tokens computed beside them.
    truncated: Passages of which the end was not read, since they are longer than the pair reads.
    """

    passages: int = 0
    tokens: int = 0
    padding: int = 0
    truncated: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.passages + other.passages,
            self.tokens + other.tokens,
            self.padding + other.padding,
            self.truncated + other.truncated,
        )


@dataclass(frozen=True)
class EncodedShard:
    """A shard's vectors, `float32[n, d]`, and what they took."""

    number: int
    vectors: NDArray[np.float32]
    counts: Counts


@dataclass(frozen=True)
class _Prepared:
    job: ShardJob
    batches: list[Batch]
    counts: Counts


class ShardEncoder:
    """Embseq, loaded where the plan says.

    Raises:
        PairError: The pair cannot be read.
    """

    def __init__(self, plan: EncoderPlan) -> None:
        self._plan = plan
        self._choose_device()
        if plan.device == "cpu":
            for name, capacity in FEW_PRIMITIVES.items():
                os.environ.setdefault(name, capacity)
        self._embseq = load_embseq(plan.pair, device=plan.device, dtype=getattr(torch, plan.dtype))

    def run(self, jobs: Iterable[ShardJob], on_passages: OnPassages = lambda count: None) -> Generator[EncodedShard]:
        """Make one shard after another; a thread reads and tokenizes the next while the device computes this one."""
        upcoming = iter(jobs)
        ahead = ThreadPoolExecutor(1, thread_name_prefix="reading-ahead", initializer=self._choose_device)
        try:
            reading = ahead.submit(self._next, upcoming)
            while (prepared := reading.result()) is not None:
                reading = ahead.submit(self._next, upcoming)
                yield self._encoded(prepared, on_passages)
        finally:
            ahead.shutdown(wait=False, cancel_futures=True)  # a worker's next job may never come

    def encode(self, job: ShardJob, on_passages: OnPassages = lambda count: None) -> EncodedShard:
        """Make one shard."""
        return self._encoded(self._prepared(job), on_passages)

    def _choose_device(self) -> None:
        """For this thread: else each worker would hold memory of the first GPU too."""
        device = torch.device(self._plan.device)
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)

    def _next(self, jobs: Iterator[ShardJob]) -> _Prepared | None:
        job = next(jobs, None)
        return None if job is None else self._prepared(job)

    def _prepared(self, job: ShardJob) -> _Prepared:
        tokens = tokenize_rendered(self._embseq.tokenizer, self._embseq.spec, job.texts)
        batches = list(token_batches(self._embseq, tokens.rows, batch_tokens=self._plan.batch_tokens))
        counts = Counts(
            passages=len(job.texts),
            tokens=sum(batch.tokens for batch in batches),
            padding=sum(batch.padding for batch in batches),
            truncated=tokens.cut,
        )
        if self._plan.device.startswith("cuda"):
            batches = [batch.pinned() for batch in batches]
        return _Prepared(job, batches, counts)

    def _encoded(self, prepared: _Prepared, on_passages: OnPassages) -> EncodedShard:
        job, plan = prepared.job, self._plan
        try:
            with torch_threads(plan.threads), constant_memory(plan):
                encoded = embed_batches(
                    self._embseq, prepared.batches, len(job.texts), dimension=plan.dimension, on_batch=on_passages
                )
        except torch.OutOfMemoryError as error:
            raise InputError(
                f"{plan.batch_tokens} tokens at once are too many for the memory of {plan.device}",
                where="--batch-tokens",
                remedy="Try half of it. The shards that are there are encoded again with the new batches",
            ) from error
        return EncodedShard(job.number, encoded, prepared.counts)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with so many threads, and with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def constant_memory(plan: EncoderPlan) -> Iterator[None]:
    """Compute without what keeps memory for each new shape of a batch, where there is another way.

    oneDNN keeps a primitive for each of the last thousand shapes: a hundred MB, and holes of hundreds among them. Half
    precision needs it, where it keeps few (`FEW_PRIMITIVES`); floats it computes 3 % faster at most.
    """
    before = torch.backends.mkldnn.set_flags()[0]
    if plan.device == "cpu" and plan.dtype == "float32":
        torch.backends.mkldnn.set_flags(_enabled=False)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(_enabled=before)
