"""Passages to sequence embeddings, shard by shard, on this machine or on Ray's cluster, with a progress bar."""

import logging
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from importlib.metadata import version
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from index_builder.devices import Devices, find_devices
from index_builder.encoder import Counts, EncoderPlan, OnPassages, ShardEncoder, ShardJob
from index_builder.encoding_settings import EncodingSettings
from index_builder.encoding_workers import encode_with_workers
from index_builder.progress import passage_progress
from index_builder.settings import BuildSettings
from index_builder.shards import ShardInputs, Shards
from semiparametric.formats import Passage
from semiparametric.spec import PairSpec
from semiparametric.store import CorpusSummary

logger = logging.getLogger(__name__)

ENCODING_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")


class Rows(Protocol):
    """Passages by row, as `PassageTable` has them."""

    def __len__(self) -> int:
        """How many."""

    def slice(self, start: int, stop: int, /) -> list[Passage]:
        """Those of rows `start` .. `stop - 1`."""


class EncodingReport(BaseModel):
    """What an encoding did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passages: int = Field(description="Passages encoded.")
    resumed: int = Field(description="Passages whose vectors an unfinished build had left.")
    tokens: int = Field(description="Tokens of the encoded passages that Embseq read.")
    padding_share: float = Field(description="Share of the computed tokens that was padding.")
    truncated: int = Field(description="Encoded passages that are longer than the pair reads.")
    seconds: float = Field(description="How long it took, loading included.")

    def __str__(self) -> str:
        return (
            f"{self.passages} passages of {self.tokens} tokens encoded in {self.seconds:.1f} s, "
            f"{100 * self.padding_share:.1f} % of the computed tokens were padding; {self.truncated} passages are "
            "longer than the pair reads"
        )


def check_encoding(settings: EncodingSettings) -> Devices:
    """The devices that will encode; with engine ray, this joins or starts its cluster.

    Raises:
        InputError: A device is not here, Ray is not installed, or its cluster does not answer.
    """
    if settings.engine == "ray":
        from index_builder.on_ray import find_actors

        return find_actors(settings)
    return find_devices(settings)


def shard_inputs(settings: BuildSettings, spec: PairSpec, corpus: CorpusSummary) -> ShardInputs:
    """All that the bytes of the shards depend on.

    Args:
        settings: Of the build.
        spec: Of its pair.
        corpus: A summary of the passages that `encode` is given.
    """
    devices = check_encoding(settings)
    return ShardInputs(
        corpus_digest=corpus.digest,
        fingerprint=spec.fingerprint,
        count=corpus.count,
        dimension=spec.served_dimension(settings.dimension),
        shard_passages=settings.shard_passages,
        batch_tokens=devices.batch_tokens,
        device=devices.kind,
        dtype=devices.dtype,
        libraries={name: version(name) for name in ENCODING_LIBRARIES},
    )


def encode(shards: Shards, passages: Rows, settings: BuildSettings, spec: PairSpec) -> EncodingReport:
    """Make the shards that are missing.

    Args:
        shards: Where vectors are kept.
        passages: The passages by row.
        settings: Say where and how to encode; Embseq is loaded only if there is something to encode.
        spec: Of the pair.

    Returns:
        What was done, which is logged too.
    """
    started, counts = perf_counter(), Counts()
    missing = shards.missing()
    if len(missing) < len(shards):
        logger.info("resuming: %d of %d shards are there", len(shards) - len(missing), len(shards))
    if missing:
        with passage_progress() as progress:
            to_do = sum(len(shards.rows(number)) for number in missing)
            task = progress.add_task("encoding passages", total=len(passages), completed=len(passages) - to_do)

            def on_passages(count: int) -> None:
                progress.advance(task, count)

            jobs = _jobs(shards, passages, spec, missing)
            with closing(_encode(jobs, shards, settings, on_passages)) as encoded:
                for shard_counts in encoded:
                    counts += shard_counts
    report = _report(counts, len(passages), perf_counter() - started)
    logger.info("%s", report)
    return report


def encode_passages(passages: Sequence[Passage], settings: BuildSettings, spec: PairSpec) -> NDArray[np.float32]:
    """The vectors of a few passages, `float32[n, d]`, made on this machine whatever the engine."""
    devices = find_devices(settings if settings.engine == "local" else EncodingSettings())
    texts = [spec.passage.render(each.title, each.text) for each in passages]
    encoder = ShardEncoder(_plan(settings, devices, devices.names[0]))
    return encoder.encode(ShardJob(0, texts)).vectors


def _encode(
    jobs: Iterator[ShardJob], shards: Shards, settings: BuildSettings, on_passages: OnPassages
) -> Generator[Counts]:
    """Make and write the shards of the jobs, in any order."""
    devices = check_encoding(settings)
    plans = [_plan(settings, devices, name) for name in devices.names]
    if settings.engine == "ray":
        from index_builder.on_ray import encode_with_ray

        yield from encode_with_ray(jobs, shards, plans, on_passages)
    elif len(plans) > 1:
        yield from encode_with_workers(jobs, shards, plans, on_passages)
    else:
        for encoded in ShardEncoder(plans[0]).run(jobs, on_passages):
            shards.write(encoded.number, encoded.vectors)
            yield encoded.counts


def _plan(settings: BuildSettings, devices: Devices, device: str) -> EncoderPlan:
    return EncoderPlan(
        pair=settings.pair.absolute(),
        device=device,
        dtype=devices.dtype,
        threads=devices.threads,
        batch_tokens=devices.batch_tokens,
        dimension=settings.dimension,
    )


def _jobs(shards: Shards, passages: Rows, spec: PairSpec, missing: Sequence[int]) -> Iterator[ShardJob]:
    for number in missing:
        rows = shards.rows(number)
        entries = passages.slice(rows.start, rows.stop)
        yield ShardJob(number, [spec.passage.render(each.title, each.text) for each in entries])


def _report(counts: Counts, passages: int, seconds: float) -> EncodingReport:
    computed = counts.tokens + counts.padding
    return EncodingReport(
        passages=counts.passages,
        resumed=passages - counts.passages,
        tokens=counts.tokens,
        padding_share=round(counts.padding / computed, 4) if computed else 0.0,
        truncated=counts.truncated,
        seconds=round(seconds, 3),
    )
