"""`cosup index rebuild`: the sources read again, and only what changed in them encoded again."""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from index_builder.build import Blocks, encoded_shards, publish_version, source_passages
from index_builder.content import Comparison, ContentDigests, compare
from index_builder.order import Order
from index_builder.outcome import Outcome
from index_builder.plan import Plan, check_writable, planned_index_type
from index_builder.recorded import recorded_order, recorded_settings
from index_builder.reuse import ReusedVectors, live_digests, reason_against_reuse
from index_builder.settings import RebuildSettings
from index_builder.stages import Stage, Stages
from semiparametric.formats import Passage
from semiparametric.store import CorpusSummary, Manifest, Store, VersionWriter
from semiparametric.store.failures import storage_errors
from semiparametric.store.layout import next_version, served_version
from semiparametric.store.lock import build_lock
from semiparametric.store.passage_writing import summarise_passages, write_passages
from semiparametric.store.passages import PassageTable

logger = logging.getLogger(__name__)

_CHANGED = "changed"  # folder below that of the version: the passages to encode, and their shards


@dataclass(frozen=True)
class _Survey:
    """A corpus as it is now, beside the version that is served."""

    corpus: CorpusSummary
    comparison: Comparison
    against_reuse: str | None

    @property
    def counts(self) -> dict[str, int]:
        found = self.comparison
        reused = 0 if self.against_reuse else found.reused
        return {"added": found.added, "changed": found.changed, "removed": found.removed, "reused": reused}

    @property
    def to_encode(self) -> int:
        return self.corpus.count - self.counts["reused"]

    def same(self, base: Manifest, order: Order) -> bool:
        """Whether a build would only repeat the version."""
        whole = base.base is None and not base.deleted
        told = (base.build.upserted, base.build.deleted) == (order.upserted, order.deleted)
        return whole and told and self.corpus == base.corpus and not self.against_reuse


def rebuild_index(settings: RebuildSettings, stages: Stages | None = None) -> Outcome:
    """Read the sources of the served version again and publish the next one, unless nothing has changed.

    Only passages whose content Embseq has not read yet are encoded, or all if the pair has changed. What was upserted
    stays, and what was deleted stays away, unless the settings say `sources_only`. A rebuild that was killed resumes.

    Raises:
        InputError: A source is gone or wrong, or a setting.
        PairError: The pair cannot be read.
        StoreError: Nothing is served, what is served is damaged, or the new version cannot be written.
        BusyError: Another build is writing this index.
    """
    stages = stages or Stages()
    served_version(settings.index)  # before the lock, which would make the folder
    with build_lock(settings.index), Store.open(settings.index) as base:
        order = _order(settings, base)
        writer = VersionWriter(settings.index)
        with stages.stage("read") as stage:
            survey = _survey(order, base, writer.write_passages, stage)
            stage.count(passages=survey.corpus.count)
            stage.tell(**survey.counts)
        if survey.same(base.manifest, order):
            shutil.rmtree(writer.folder)
            return Outcome(base.manifest, published=False, counts=survey.counts | {"encoded": 0})

        def encoded(stage: Stage) -> Blocks:
            return _encoded(order, base, writer, survey, stage)

        manifest = publish_version(order, writer, survey.corpus, encoded, stages)
        return Outcome(manifest, published=True, counts=survey.counts | {"encoded": survey.to_encode})


def plan_rebuild(settings: RebuildSettings) -> Plan:
    """What `rebuild_index` would do; raises what it would raise before it encodes."""
    served_version(settings.index)
    check_writable(settings.index)
    with Store.open(settings.index) as base:
        order = _order(settings, base)
        survey = _survey(order, base, summarise_passages)
        return Plan(
            index=settings.index,
            version=None if survey.same(base.manifest, order) else next_version(settings.index),
            passages=survey.corpus.count,
            to_encode=survey.to_encode,
            index_type=planned_index_type(order, survey.corpus.count),
            counts=survey.counts,
        )


def _order(settings: RebuildSettings, base: Store) -> Order:
    told = {"pair": settings.pair, "device": settings.device, "corpus": settings.corpus}
    build = recorded_settings(base.manifest, settings.index, **told)
    return recorded_order(base.manifest, build, sources_only=settings.sources_only)


def _survey(
    order: Order, base: Store, write: Callable[[Iterable[Passage]], CorpusSummary], stage: Stage | None = None
) -> _Survey:
    """Read the corpus once: write it and compare it with what is served; without a stage it is a dry run."""
    against_reuse = reason_against_reuse(base, order)
    if against_reuse:
        logger.warning("all passages are encoded again: %s", against_reuse)
    digests = ContentDigests(order.spec.passage)
    corpus = write(digests.watching(_passages(order, base, stage)))
    return _Survey(corpus, compare(digests, live_digests(base, order.spec.passage)), against_reuse)


def _passages(order: Order, base: Store, stage: Stage | None) -> Iterator[Passage]:
    """What the index is to hold: the sources without what was deleted or replaced, then what was upserted."""
    elsewhere = {*order.upserted, *order.deleted}
    expected = base.manifest.corpus.count
    for passage in source_passages(order.settings, stage, expected=expected, dry_run=stage is None):
        if passage.id not in elsewhere:
            yield passage
    if order.upserted:
        for row in base.rows_of(order.upserted).tolist():
            yield base.passage(row)


def _encoded(order: Order, base: Store, writer: VersionWriter, survey: _Survey, stage: Stage) -> Blocks:
    """The stage `encode`: all vectors of the new version, computed or reused."""
    with writer.passages() as passages:
        if survey.against_reuse:
            return encoded_shards(order, writer.folder, passages, survey.corpus, stage)
        stage.tell(reused=survey.counts["reused"])
        rows = np.append(base.live_rows(), -1)[survey.comparison.reusable]  # -1 stays -1
        if not survey.to_encode:
            stage.count(passages=0)
            return ReusedVectors(base, rows, [])
        return ReusedVectors(base, rows, _encoded_changed(order, writer, passages, survey, stage))


def _encoded_changed(
    order: Order, writer: VersionWriter, passages: PassageTable, survey: _Survey, stage: Stage
) -> Blocks:
    """Vectors of the passages to encode, as of a corpus of their own."""
    folder = writer.folder / _CHANGED
    path = folder / "passages.arrow"
    with storage_errors(writer.index):
        folder.mkdir(exist_ok=True)
        rows = survey.comparison.to_encode.tolist()
        corpus = write_passages(path, (passages[row] for row in rows))
    with PassageTable(path) as changed:
        return encoded_shards(order, folder, changed, corpus, stage)
