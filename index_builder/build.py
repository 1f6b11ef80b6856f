"""A build from beginning to end: passages, vectors, a published version."""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index_builder.corpus import read_corpus
from index_builder.encoding import encode, shard_inputs
from index_builder.order import Order
from index_builder.progress import read_with_progress
from index_builder.reading import reading_for
from index_builder.settings import BuildSettings
from index_builder.shards import Shards
from index_builder.stages import Stage, Stages
from semiparametric.formats import Passage
from semiparametric.store import (
    CorpusSummary,
    IndexSummary,
    Manifest,
    Store,
    VersionWriter,
    current_version,
    manifest_of,
    versions,
)
from semiparametric.store.failures import storage_errors
from semiparametric.store.lock import build_lock
from semiparametric.store.passages import PassageTable
from semiparametric.store.publish import publish

logger = logging.getLogger(__name__)

Blocks = Iterable[NDArray[np.float32]]  # float32[n, d] each, in the order of the passages; iterated more than once


def build_index(settings: BuildSettings, stages: Stages | None = None) -> Manifest:
    """Build the next version of an index and publish it.

    A build that was killed goes on where it stopped when it is run again with the same settings, and ends with the same
    bytes as an undisturbed one.

    Args:
        settings: What to build.
        stages: Who is told of each stage that ends.

    Raises:
        InputError: The corpus or a setting is wrong.
        PairError: The pair cannot be read.
        StoreError: The disk is full, the folder cannot be written, or the result does not read back whole.
        BusyError: Another build is writing this index.
    """
    stages = stages or Stages()
    order = Order.checked(settings)
    with build_lock(settings.out):
        writer = VersionWriter(settings.out)
        with stages.stage("read") as stage:
            corpus = writer.write_passages(source_passages(settings, stage))
            stage.count(passages=corpus.count)

        def encoded(stage: Stage) -> Blocks:
            with writer.passages() as passages:
                return encoded_shards(order, writer.folder, passages, corpus, stage)

        return publish_version(order, writer, corpus, encoded, stages)


def source_passages(
    settings: BuildSettings, stage: Stage | None = None, *, expected: int | None = None, dry_run: bool = False
) -> Iterator[Passage]:
    """The passages of the sources of a build, streamed.

    Args:
        settings: Of the build.
        stage: Told at the end what was left out.
        expected: About how many they are, where that is known.
        dry_run: Whether bad records are only counted.
    """
    reading = reading_for(settings, pair=settings.pair, out=settings.out, dry_run=dry_run)
    yield from read_with_progress(read_corpus(settings.corpus, reading), expected)
    if stage:
        stage.tell(**reading.counts)


def encoded_shards(order: Order, folder: Path, passages: PassageTable, corpus: CorpusSummary, stage: Stage) -> Shards:
    """The vectors of passages, in shards below a folder; those that are there already are kept.

    Args:
        order: What is built.
        folder: Where the shards are, or will be.
        passages: What to encode.
        corpus: A summary of these passages.
        stage: Where the figures go.
    """
    inputs = shard_inputs(order.settings, order.spec, corpus)
    with storage_errors(order.settings.out):
        shards = Shards(folder, inputs)
        report = encode(shards, passages, order.settings, order.spec)
        stage.count(passages=report.passages, tokens=report.tokens)
        stage.tell(padding_share=report.padding_share, truncated=report.truncated, resumed=report.resumed)
    return shards


def publish_version(
    order: Order, writer: VersionWriter, corpus: CorpusSummary, encoded: Callable[[Stage], Blocks], stages: Stages
) -> Manifest:
    """What follows once the passages are written: the stages `encode`, `index`, `verify` and `publish`.

    Args:
        order: What is built.
        writer: Of the version.
        corpus: A summary of its passages.
        encoded: Does the work of the stage `encode`.
        stages: Who is told of each stage.
    """
    sealed = _publish_sealed(order, writer, corpus, stages)
    if sealed:
        return sealed
    plan = order.index_plan(corpus.count)  # what cannot be built is to be said before all is encoded
    with stages.stage("encode") as stage:
        blocks = encoded(stage)
    with stages.stage("index") as stage:
        index = writer.write_vectors(blocks, plan) if plan else _collected(order.settings, writer, blocks)
        stage.count(passages=corpus.count)
        stage.tell(index_type=index.index_type, recall_at_10=index.recall_at_10)
        if index.reason:
            logger.info("index type %s: %s", index.index_type, index.reason)
    with stages.stage("verify") as stage:
        fingerprint, record = order.spec.fingerprint, order.record()
        manifest = writer.complete(name=order.name, fingerprint=fingerprint, corpus=corpus, index=index, build=record)
        stage.count(passages=corpus.count)
    with stages.stage("publish") as stage:
        writer.serve()
        stage.tell(version=manifest.version, passages=corpus.count)
    return manifest


def _collected(settings: BuildSettings, writer: VersionWriter, blocks: Blocks) -> IndexSummary:
    return writer.write_collection(
        blocks, uri=settings.milvus_uri, index_type=settings.index_type, parameters=settings.index_parameters
    )


def _publish_sealed(order: Order, writer: VersionWriter, corpus: CorpusSummary, stages: Stages) -> Manifest | None:
    """Publish the version of this very build, if a run of it was killed between sealing it and publishing it."""
    out = order.settings.out
    newest = max(versions(out), default=0)
    if newest <= (current_version(out) or 0):
        return None
    manifest = manifest_of(out, version=newest)
    if not order.made(manifest, corpus):
        return None
    with stages.stage("verify") as stage:
        Store.open(out, version=newest, check=True).close()
        stage.count(passages=corpus.count)
    with stages.stage("publish") as stage, storage_errors(out):
        shutil.rmtree(writer.folder)
        publish(out, newest)
        stage.tell(version=newest, passages=corpus.count)
    logger.info("version %d was whole already and is now served", newest)
    return manifest
