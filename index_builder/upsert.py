"""`cosup index upsert` and `delete`: the next version from the served one, at the cost of what changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from index_builder.build import source_passages
from index_builder.encoding import encode_passages
from index_builder.order import Order, libraries
from index_builder.outcome import Outcome
from index_builder.plan import Plan, check_writable
from index_builder.recorded import recorded_settings
from index_builder.settings import DeleteSettings, UpsertSettings
from index_builder.stages import Stage, Stages
from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage
from semiparametric.lines import numbered_lines
from semiparametric.store import BuildRecord, Extension, Store
from semiparametric.store.layout import next_version, served_version
from semiparametric.store.lock import build_lock

_REJECTS = "upsert-rejects.jsonl"  # in the index's folder: those of the build's own sources stay


@dataclass
class _Batch:
    """The passages of an upsert, beside what the index holds under their ids."""

    written: list[Passage] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    """For each of `written` a row of the index whose vector it takes, or -1 where it must be encoded."""

    added: int = 0
    unchanged: int = 0

    @property
    def to_encode(self) -> list[int]:
        return [place for place, row in enumerate(self.rows) if row < 0]

    @property
    def counts(self) -> dict[str, int]:
        replaced = len(self.written) - self.added
        return {"added": self.added, "replaced": replaced, "unchanged": self.unchanged}


def upsert(settings: UpsertSettings, stages: Stages | None = None) -> Outcome:
    """Put passages in: one whose id is there already replaces that passage.

    Raises:
        InputError: A source or a passage is wrong, or an id stands twice.
        PairError: The pair cannot be read.
        StoreError: Nothing is served, the pair is another one, or the version cannot be written.
        BusyError: Another build is writing this index.
    """
    stages = stages or Stages()
    served_version(settings.index)  # before the lock, which would make the folder
    with build_lock(settings.index), Extension(settings.index) as extension:
        base, order = extension.base, _order(settings, extension.base)
        with stages.stage("read") as stage:
            batch = _batch(order, base, stage)
            stage.count(passages=len(batch.written) + batch.unchanged)
            stage.tell(**batch.counts)
        counts = batch.counts | {"encoded": len(batch.to_encode)}
        if not batch.written:
            return Outcome(base.manifest, published=False, counts=counts)
        with stages.stage("encode") as stage:
            vectors = _vectors(order, base, batch, stage)
        with stages.stage("publish") as stage:
            record = _record(base.manifest.build, order, upserted=[passage.id for passage in batch.written])
            manifest = extension.publish(added=batch.written, vectors=vectors, deleted_ids=[], build=record)
            stage.tell(version=manifest.version, passages=manifest.corpus.count)
        return Outcome(manifest, published=True, counts=counts)


def plan_upsert(settings: UpsertSettings) -> Plan:
    """What `upsert` would do; raises what it would raise before it encodes."""
    served_version(settings.index)
    check_writable(settings.index)
    with Store.open(settings.index) as base:
        order = _order(settings, base)
        batch = _batch(order, base)
        return Plan(
            index=settings.index,
            version=next_version(settings.index) if batch.written else None,
            passages=base.manifest.corpus.count + batch.added,
            to_encode=len(batch.to_encode),
            index_type=base.manifest.index.index_type,
            counts=batch.counts,
        )


def delete(settings: DeleteSettings, stages: Stages | None = None) -> Outcome:
    """Take passages out by their ids.

    Raises:
        InputError: No id is given, one is unknown, or none of the passages would be left.
        StoreError: Nothing is served, or the version cannot be written.
        BusyError: Another build is writing this index.
    """
    stages = stages or Stages()
    ids = ids_to_delete(settings)
    served_version(settings.index)
    with build_lock(settings.index), Extension(settings.index) as extension:
        base = extension.base
        with stages.stage("read") as stage:
            _check_deletion(base, ids)
            stage.count(ids=len(ids))
        with stages.stage("publish") as stage:
            none = np.empty((0, base.dimension), np.float32)
            record = _record(base.manifest.build, None, deleted=ids)
            manifest = extension.publish(added=[], vectors=none, deleted_ids=ids, build=record)
            stage.tell(version=manifest.version, passages=manifest.corpus.count)
        return Outcome(manifest, published=True, counts={"deleted": len(ids)})


def plan_delete(settings: DeleteSettings) -> Plan:
    """What `delete` would do; raises what it would raise."""
    ids = ids_to_delete(settings)
    served_version(settings.index)
    check_writable(settings.index)
    with Store.open(settings.index) as base:
        _check_deletion(base, ids)
        return Plan(
            index=settings.index,
            version=next_version(settings.index),
            passages=base.manifest.corpus.count - len(ids),
            to_encode=0,
            index_type=base.manifest.index.index_type,
            counts={"deleted": len(ids)},
        )


def ids_to_delete(settings: DeleteSettings) -> list[str]:
    """The ids given one by one and in a file, each once.

    Raises:
        InputError: There is none, or the file cannot be read.
    """
    given = list(settings.id_)
    if settings.ids_from is not None:
        given += [line.rstrip("\r\n") for _, line in numbered_lines(settings.ids_from)]
    if not given:
        raise InputError("no id to delete", remedy="Give --id ID, which may be repeated, or --ids-from FILE")
    return list(dict.fromkeys(given))


def _order(settings: UpsertSettings, base: Store) -> Order:
    rejects = settings.index / _REJECTS
    told = {"pair": settings.pair, "device": settings.device, "corpus": settings.corpus, "rejects": rejects}
    order = Order.checked(recorded_settings(base.manifest, settings.index, **told))
    if order.spec.fingerprint != base.manifest.fingerprint:
        raise StoreError(
            f"its vectors were made by the pair {base.manifest.fingerprint!r}, "
            f"{order.settings.pair} is {order.spec.fingerprint!r}",
            where=str(settings.index),
            remedy="Name the index's own pair with --pair, or encode all anew with `cosup index rebuild`",
        )
    return order


def _batch(order: Order, base: Store, stage: Stage | None = None) -> _Batch:
    """Read the passages and look each up in the index; without a stage it is a dry run."""
    passages = list(source_passages(order.settings, stage, dry_run=stage is None))
    if not passages:
        raise InputError("the corpus holds no passage", remedy="Give a corpus with at least one passage")
    held = _held(base, [passage.id for passage in passages])
    batch = _Batch()
    for passage in passages:
        row, before = held.get(passage.id, (-1, None))
        if passage == before:
            batch.unchanged += 1
            continue
        batch.added += before is None
        batch.written.append(passage)
        form = order.spec.passage
        same = before is not None and form.render(before.title, before.text) == form.render(passage.title, passage.text)
        batch.rows.append(row if same and base.keeps_vectors else -1)
    return batch


def _held(base: Store, ids: Sequence[str]) -> dict[str, tuple[int, Passage]]:
    """What the index holds under ids, with its rows."""
    found = [(row, base.passage(row)) for row in base.rows_among(ids).tolist()]
    return {passage.id: (row, passage) for row, passage in found}


def _vectors(order: Order, base: Store, batch: _Batch, stage: Stage) -> NDArray[np.float32]:
    """The vectors of an upsert's passages, `float32[n, d]`: taken from the index, or computed."""
    vectors = np.empty((len(batch.rows), order.dimension), np.float32)
    rows = np.array(batch.rows)
    if (rows >= 0).any():
        vectors[rows >= 0] = base.vectors(rows[rows >= 0])
    if batch.to_encode:
        fresh = [batch.written[place] for place in batch.to_encode]
        vectors[rows < 0] = encode_passages(fresh, order.settings, order.spec)
    stage.count(passages=len(batch.to_encode))
    return vectors


def _record(
    before: BuildRecord, order: Order | None, *, upserted: Sequence[str] = (), deleted: Sequence[str] = ()
) -> BuildRecord:
    """How an extension was made: the build that it goes on with, and all that was put in and taken out since."""
    changed = {*upserted, *deleted}
    now = datetime.now(UTC)
    update = {
        "upserted": [one for one in before.upserted if one not in changed] + list(upserted),
        "deleted": [one for one in before.deleted if one not in changed] + list(deleted),
        "started": order.started if order else now,
        "finished": now,
    }
    if order:
        added = order.record().sources
        update |= {"sources": list(dict.fromkeys([*before.sources, *added])), "libraries": libraries()}
    return before.model_copy(update=update)


def _check_deletion(base: Store, ids: Sequence[str]) -> None:
    base.rows_of(ids)
    if len(ids) >= base.manifest.corpus.count:
        raise InputError(
            f"all {len(ids)} passages of the index would be gone", remedy="Remove the folder of the index instead"
        )
