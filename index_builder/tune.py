"""`cosup index tune`: recall and time of each search setting; the cheapest that suffices becomes the served one."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index_builder.tune_settings import TuneSettings
from semiparametric.errors import InputError, StoreError
from semiparametric.store import BuildRecord, Extension, IndexSummary, Store
from semiparametric.store.failures import storage_errors
from semiparametric.store.index_structure import HNSW_EF_SEARCH
from semiparametric.store.index_summary import Measured
from semiparametric.store.layout import served_version
from semiparametric.store.lock import build_lock
from semiparametric.store.recall import draw_sample
from semiparametric.store.tradeoff import choose, efforts, measure, measured, search_parts
from semiparametric.store.vectors import VectorIndex

_AT_ONCE = 16_384  # vectors read at a time
_TIMED = 200  # queries, one after the other
_USUAL_TARGET = 0.95


@dataclass(frozen=True)
class Timed:
    """A search setting with its recall and the time of one lookup in it, in milliseconds (the median)."""

    measured: Measured
    milliseconds: float


@dataclass(frozen=True)
class TuneReport:
    """What was measured, and what came of it."""

    index: Path
    version: int
    """The version that was measured."""

    search_setting: str | None
    """The setting's name; None for an index type that has none."""

    sweep: list[Timed]
    before: int | None
    chosen: Measured
    target_recall: float
    published: int | None
    """The version with the new setting; None if nothing was published."""

    picture: Path

    @property
    def reached(self) -> bool:
        """Whether the chosen setting has the target recall."""
        return self.chosen.recall_at_10 >= self.target_recall

    def __str__(self) -> str:
        head = f"{self.search_setting or 'exact':>15}  recall@1  recall@10  recall@100  ms per query"
        lines = [head, *(self._line(entry) for entry in self.sweep), self._outcome(), f"drawn in {self.picture}"]
        return "\n".join(lines)

    def _line(self, entry: Timed) -> str:
        found = entry.measured
        mark = "  <- chosen" if found == self.chosen else ""
        value = "" if found.value is None else str(found.value)
        recalls = f"{found.recall_at_1:8.4f}  {found.recall_at_10:9.4f}  {found.recall_at_100:10.4f}"
        return f"{value:>15}  {recalls}  {entry.milliseconds:12.3f}{mark}"

    def _outcome(self) -> str:
        if self.search_setting is None:
            return f"{self.index}: its index type has no search setting to choose"
        text = f"{self.index}: {self.search_setting} {self.before} -> {self.chosen.value}"
        if self.before == self.chosen.value:
            text = f"{self.index}: {self.search_setting} stays {self.before}"
        if not self.reached:
            text += f"; none reaches the target recall of {self.target_recall:g}, this is the best"
        return f"{text}; version {self.published} is served" if self.published else f"{text}; nothing was published"


def tune(settings: TuneSettings) -> TuneReport:
    """Measure the served version's search settings anew; publish a version with another one if that suffices.

    Raises:
        InputError: The index is not of FAISS, or there is nothing to draw with.
        StoreError: It cannot be read or written, or did not keep its vectors.
        BusyError: A build is writing this index.
    """
    started = datetime.now(UTC)
    draw = _drawing()
    served_version(settings.index)  # before the lock, which would make the folder
    with build_lock(settings.index), Extension(settings.index) as extension:
        summary, version = extension.base.manifest.index, extension.base.version
        sweep, words = _sweep(extension.base)
        target = settings.target_recall or summary.target_recall or _USUAL_TARGET
        found = [entry.measured for entry in sweep]
        chosen, name = choose(found, target), _setting(summary)
        before = None if name is None else int(summary.index_parameters[name])
        published = None
        if name is not None and before != chosen.value and not settings.dry_run:
            new = {
                "index_parameters": {**summary.index_parameters, name: chosen.value},
                "recall_at_10": chosen.recall_at_10,
                "recall_queries": words,
                "search_setting": name,
                "target_recall": target,
                "sweep": found,
            }
            published = _publish(extension, summary.model_copy(update=new), started)
    picture = settings.picture or settings.index / "tradeoff.png"
    report = TuneReport(settings.index, version, name, sweep, before, chosen, target, published, picture)
    with storage_errors(picture.parent):
        draw(report)
    return report


class _LiveVectors:
    """The vectors that a lookup may give, in blocks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rows = store.live_rows()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self._rows), _AT_ONCE):
            yield self._store.vectors(self._rows[start : start + _AT_ONCE])


def _sweep(store: Store) -> tuple[list[Timed], str]:
    """Each setting with its recall and time, and what the queries were."""
    parts = _faiss_parts(store)
    if not store.keeps_vectors:
        raise StoreError(
            "it did not keep its vectors, so there is nothing to measure it against",
            where=store.name,
            remedy="Build it again with keep_vectors",
        )
    blocks = _LiveVectors(store)
    sample = draw_sample(blocks, len(store))
    name = _setting(store.manifest.index)
    found: Sequence[Measured] | Iterator[Measured] = [measure(parts, None, sample, blocks)]
    if name is not None:
        found = measured(parts, efforts(parts, name), sample, blocks)
    entries = list(found)
    times = _milliseconds(parts, sample.queries[:_TIMED], [entry.value for entry in entries])
    return [Timed(*pair) for pair in zip(entries, times, strict=True)], sample.words


def _faiss_parts(store: Store) -> list[VectorIndex]:
    parts = [part for part in store.parts if isinstance(part, VectorIndex)]
    if len(parts) < len(store.parts):
        raise InputError(
            f"the vectors of this index are in {store.manifest.store}, which chooses its own search settings",
            where=store.name,
            remedy="Tune an index that was built with --store faiss",
        )
    return parts


def _setting(summary: IndexSummary) -> str | None:
    """The name of the search setting, which manifests of format 1 do not tell."""
    if summary.search_setting is None and summary.index_type == "hnsw":
        return HNSW_EF_SEARCH
    return summary.search_setting


def _drawing() -> Callable[[TuneReport], None]:
    """What draws the picture.

    Raises:
        InputError: Its library is not installed.
    """
    try:
        from index_builder.tune_picture import draw
    except ImportError as error:
        raise InputError(
            f"the picture cannot be drawn ({error})", remedy="Install matplotlib, as in `pip install cosup[train]`"
        ) from error
    return draw


def _milliseconds(
    parts: Sequence[VectorIndex], queries: NDArray[np.float32], values: Sequence[int | None]
) -> list[float]:
    """The median time of one lookup with each value; they take turns, so that what else the machine does hits all."""
    times = np.empty((len(queries), len(values)))
    for number in range(len(queries)):
        for place, value in enumerate(values):
            started = time.perf_counter()
            search_parts(parts, queries[number : number + 1], 10, value)
            times[number, place] = time.perf_counter() - started
    return [float(median) for median in np.median(times, axis=0) * 1000]


def _publish(extension: Extension, summary: IndexSummary, started: datetime) -> int:
    build = extension.base.manifest.build
    manifest = extension.publish(
        added=[],
        vectors=np.empty((0, summary.dimension), np.float32),
        deleted_ids=[],
        build=BuildRecord(**dict(build) | {"started": started, "finished": datetime.now(UTC)}),
        index=summary,
    )
    return manifest.version
