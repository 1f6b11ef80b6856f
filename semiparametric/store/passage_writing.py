"""Writing a file of passages: streamed, eight bytes of memory per passage, equal bytes for equal passages."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from semiparametric.errors import InputError
from semiparametric.formats import Passage
from semiparametric.store.manifest import CorpusSummary
from semiparametric.store.passages import SCHEMA, encode_value

_ROWS_PER_BATCH = 4096
_BYTES_PER_BATCH = 64 << 20  # of text: a batch is in memory, and Arrow's text columns end at 2 GiB


def write_passages(path: Path, passages: Iterable[Passage]) -> CorpusSummary:
    """Stream passages into an Arrow file; equal passages give equal bytes.

    Raises:
        InputError: There is no passage at all, or an id occurs twice.
    """
    tally, hashes = _Tally(), array("q")
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as file:
        for batch in _batches(passages):
            for passage in batch:
                hashes.append(hash(passage.id))
                tally.add(passage)
            file.write_batch(_record_batch(batch))
    summary = tally.summary()
    _refuse_duplicates(path, hashes)
    return summary


def summarise_passages(passages: Iterable[Passage]) -> CorpusSummary:
    """What `write_passages` would return, without writing; that no id occurs twice is the reader's to see.

    Raises:
        InputError: There is no passage at all.
    """
    tally = _Tally()
    for passage in passages:
        tally.add(passage)
    return tally.summary()


class _Tally:
    """What a summary says, passage by passage."""

    def __init__(self) -> None:
        self._count = 0
        self._digest = hashlib.sha256()
        self._fields: set[str] = set()

    def add(self, passage: Passage) -> None:
        self._count += 1
        self._digest.update(passage.model_dump_json().encode() + b"\n")
        self._fields.update(passage.metadata)

    def summary(self) -> CorpusSummary:
        if not self._count:
            raise InputError("the corpus holds no passage", remedy="Give a corpus with at least one passage")
        return CorpusSummary(count=self._count, digest=self._digest.hexdigest(), metadata_fields=sorted(self._fields))


def _batches(passages: Iterable[Passage]) -> Iterator[list[Passage]]:
    batch: list[Passage] = []
    size = 0
    for passage in passages:
        batch.append(passage)
        size += len(passage.text)
        if len(batch) == _ROWS_PER_BATCH or size >= _BYTES_PER_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _record_batch(batch: list[Passage]) -> pa.RecordBatch:
    """By columns: Arrow takes twenty times as long for the same rows as dictionaries."""
    entries = [passage.metadata for passage in batch]
    offsets = np.cumsum([0, *(len(entry) for entry in entries)], dtype=np.int32)
    fields = [field for entry in entries for field in entry]
    values = [encode_value(value) for entry in entries for value in entry.values()]
    columns = {
        "id": pa.array([passage.id for passage in batch], pa.string()),
        "title": pa.array([passage.title for passage in batch], pa.string()),
        "text": pa.array([passage.text for passage in batch], pa.string()),
        "source": pa.array([passage.source for passage in batch], pa.string()),
        "metadata": pa.MapArray.from_arrays(
            offsets, pa.array(fields, pa.string()), pa.array(values, pa.string()), SCHEMA.field("metadata").type
        ),
    }
    return pa.RecordBatch.from_pydict(columns, SCHEMA)


def _refuse_duplicates(path: Path, hashes: "array[int]") -> None:
    """Only ids with equal hashes are compared: the ids themselves of many million passages would fill the memory."""
    numbers = np.frombuffer(hashes, np.int64)
    order = np.argsort(numbers, kind="stable")
    same = np.flatnonzero(numbers[order][1:] == numbers[order][:-1])
    if not len(same):
        return
    suspects = np.unique(np.concatenate([order[same], order[same + 1]]))
    with pa.memory_map(str(path), "rb") as file:
        ids = pa.ipc.open_file(file).read_all()["id"].take(suspects).to_pylist()
    seen: dict[str, int] = {}
    for row, passage_id in zip(suspects.tolist(), ids, strict=True):
        if passage_id in seen:
            raise InputError(
                f"passages {seen[passage_id]} and {row + 1} of the corpus have the same id, {passage_id!r}",
                remedy="Every id may occur once in a corpus",
            )
        seen[passage_id] = row + 1
