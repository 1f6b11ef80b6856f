"""Writing a collection, and removing those that no version names any more.

A ledger, `milvus.json` in the index's folder, names every collection that was begun for this index and not yet removed.
It is written before the collection is made, so a build that is killed leaves nothing behind that is not found again,
and a collection that is not in it is never touched. The caller of each function holds `build_lock(index)`.
"""

import logging
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from semiparametric.errors import InputError, StoreError
from semiparametric.store.index_summary import IndexSummary
from semiparametric.store.layout import versions
from semiparametric.store.manifest import VectorPart
from semiparametric.store.milvus import MilvusVectors
from semiparametric.store.milvus_client import (
    ROW,
    VECTOR,
    check_client,
    connected,
    create_collection,
    located,
    recorded,
)
from semiparametric.store.reader import manifest_of
from semiparametric.store.recall import measure_recall

logger = logging.getLogger(__name__)

LEDGER = "milvus.json"

_INSERT_BYTES = 8 << 20  # of vectors in one call; Milvus refuses messages of 64 MiB
_REPORT_SECONDS = 10.0
_HNSW = {"hnsw_m": 32, "hnsw_ef_construction": 200, "hnsw_ef_search": 128}
_NAME_LENGTH = 200  # Milvus allows 255


class Collection(BaseModel):
    """A line of the ledger."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    collection: str


_LINES = TypeAdapter(list[Collection])


def check_milvus(uri: str | None, index: Path, index_type: str) -> None:
    """Look whether a version could be written there, so that a build need not encode all passages to learn that not.

    It writes nothing.

    Args:
        uri: Where the database is; a local one in the index's folder if None.
        index: The index's folder.
        index_type: What it would be indexed as.

    Raises:
        InputError: Milvus is not given that index type.
        StoreError: It does not answer, or its client is not installed.
    """
    _resolved(index_type, {})
    check_client(recorded(uri, index), index)


def write_collection(
    index: Path,
    version: int,
    blocks: Iterable[NDArray[np.float32]],
    *,
    uri: str | None,
    index_type: str,
    parameters: Mapping[str, int | str | None],
) -> VectorPart:
    """Write a version's vectors into a new collection, index and load it.

    Collections that killed builds left half-written are removed first.

    Args:
        index: The index's folder.
        version: The version being written.
        blocks: Sequence embeddings, `float32[n, d]` each; rows are numbered as they come.
        uri: Where the database is; a local one in the index's folder if None.
        index_type: `flat`, `hnsw`, or `auto` for what Milvus itself takes.
        parameters: The type's numbers; the usual one for each that is missing or None.

    Raises:
        InputError: The index type is unknown, there is no vector, or the blocks differ in dimension.
        StoreError: Milvus does not answer, refuses, or does not hold all rows in the end.
    """
    kind = _in_milvus(index_type, _resolved(index_type, parameters))
    remove_unnamed(index)
    name = re.sub(r"\W", "_", f"cosup_{index.resolve().name}", flags=re.ASCII)[:_NAME_LENGTH]
    line = Collection(uri=recorded(uri, index), collection=f"{name}_{version}_{secrets.token_hex(4)}")
    _write_ledger(index, [*_ledger(index), line])
    with connected(located(line.uri, index)) as client:
        count = _insert(client, line.collection, blocks, f"Version {version} of the Cosup index {index.resolve().name}")
        client.flush(line.collection)
        logger.info("%s: indexing %d vectors (%s)", line.collection, count, kind["index_type"])
        wanted = client.prepare_index_params()
        wanted.add_index(VECTOR, metric_type="IP", **kind)
        client.create_index(line.collection, wanted)
        client.load_collection(line.collection)
        found = client.query(line.collection, output_fields=["count(*)"], consistency_level="Strong")[0]["count(*)"]
    if found != count:
        where = f"{line.uri}, collection {line.collection}"
        raise StoreError(f"it holds {found} of {count} vectors", where=where, remedy="Run the command again")
    return VectorPart(count=count, uri=line.uri, collection=line.collection)


def summarise(
    part: VectorPart,
    index: Path,
    blocks: Iterable[NDArray[np.float32]],
    *,
    index_type: str,
    parameters: Mapping[str, int | str | None],
) -> IndexSummary:
    """What the manifest says of a collection: its type and how much of the exact answer its lookups find.

    Args:
        part: The collection.
        index: The index's folder.
        blocks: All its vectors, `float32[n, d]` each, in the order of its rows; read twice.
        index_type: As it was written.
        parameters: As they were given.
    """
    numbers = _resolved(index_type, parameters)
    with closing(
        MilvusVectors(str(part.uri), str(part.collection), index=index, index_type=index_type, parameters=numbers)
    ) as vectors:
        recall, queries = measure_recall(vectors, blocks)
        return IndexSummary(
            dimension=vectors.dimension,
            index_type=index_type,
            index_parameters=numbers,
            recall_at_10=recall,
            recall_queries=queries,
        )


def remove_unnamed(index: Path) -> list[str]:
    """Drop the collections of the ledger that no version of the index names: of killed builds and removed versions.

    One whose database does not answer is kept in the ledger for the next time, with a warning.

    Returns:
        The names of those dropped.
    """
    ledger = _ledger(index)
    named = _named(index) if ledger else None
    if named is None:
        return []
    dropped = [line for line in ledger if line.collection not in named and _dropped(line, index)]
    if dropped:
        _write_ledger(index, [line for line in ledger if line not in dropped])
    return [line.collection for line in dropped]


def _dropped(line: Collection, index: Path) -> bool:
    try:
        with connected(located(line.uri, index)) as client:
            client.drop_collection(line.collection)  # silent where there is none
    except StoreError as error:
        logger.warning("the collection %s could not be dropped and stays: %s", line.collection, error)
        return False
    logger.info("%s: dropped the collection %s", line.uri, line.collection)
    return True


def _named(index: Path) -> set[str] | None:
    """The collections that the versions name; None where one cannot be read, so that none is dropped by mistake."""
    try:
        manifests = [manifest_of(index, version=version) for version in versions(index)]
    except StoreError as error:
        logger.warning("no collection is dropped, since a version cannot be read: %s", error)
        return None
    return {part.collection for manifest in manifests for part in manifest.parts if part.collection}


def _ledger(index: Path) -> list[Collection]:
    path = index / LEDGER
    if not path.is_file():
        return []
    try:
        return _LINES.validate_json(path.read_bytes())
    except ValidationError as error:
        raise StoreError(
            "is no list of collections",
            where=str(path),
            remedy="Remove it; collections that no manifest names must then be dropped by hand",
        ) from error


def _write_ledger(index: Path, lines: list[Collection]) -> None:
    new = index / f"{LEDGER}.new"
    new.write_bytes(_LINES.dump_json(lines, indent=2) + b"\n")
    new.replace(index / LEDGER)


def _resolved(index_type: str, given: Mapping[str, int | str | None]) -> dict[str, int | str]:
    """All numbers of an index type: those given, and the usual ones for others."""
    if index_type in {"flat", "auto"}:
        return {}
    if index_type == "hnsw":
        return {name: given.get(name) or usual for name, usual in _HNSW.items()}
    raise InputError(f"{index_type!r} is no index type of --store milvus", remedy="Choose one of auto, flat, hnsw")


def _in_milvus(index_type: str, parameters: Mapping[str, int | str]) -> dict[str, Any]:
    """An index type in the words of Milvus."""
    if index_type == "hnsw":
        numbers = {"M": parameters["hnsw_m"], "efConstruction": parameters["hnsw_ef_construction"]}
        return {"index_type": "HNSW", "params": numbers}
    return {"index_type": {"flat": "FLAT", "auto": "AUTOINDEX"}[index_type]}


def _insert(client: Any, collection: str, blocks: Iterable[NDArray[np.float32]], description: str) -> int:
    """Make the collection and put all vectors in; how many they were."""
    dimension, count, reported = 0, 0, time.monotonic()
    for block in blocks:
        if not dimension:
            dimension = block.shape[1]
            create_collection(client, collection, dimension, description)
        if block.shape[1] != dimension:
            raise InputError(f"a block has {block.shape[1]} dimensions, those before it {dimension}")
        step = max(1, _INSERT_BYTES // (4 * dimension))
        for start in range(0, len(block), step):
            vectors = np.ascontiguousarray(block[start : start + step], np.float32)
            client.insert(collection, [{ROW: row, VECTOR: vector} for row, vector in enumerate(vectors, count)])
            count += len(vectors)
        if time.monotonic() - reported > _REPORT_SECONDS:
            reported = time.monotonic()
            logger.info("%s: %d vectors inserted", collection, count)
    if not count:
        raise InputError("there is no vector to index")
    return count
