"""The store as the service sees it: one version, read-only, memory-mapped."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage, Scalar
from semiparametric.store.backend import Vectors
from semiparametric.store.checksums import verify_checksums
from semiparametric.store.layout import PASSAGES, VECTORS, served_version, version_folder, versions
from semiparametric.store.manifest import Manifest, read_manifest
from semiparametric.store.passages import PassageTable
from semiparametric.store.vectors import Hit, VectorIndex


class StoredPassage(NamedTuple):
    """A row of the store."""

    row: int
    passage: Passage
    live: bool
    """False for one that was deleted or replaced since the build."""


class Store:
    """One published version of an index. All methods but `close` are safe to call from many threads at once.

    Attributes:
        name: The index's name.
        version: The version that is open.
        manifest: What it holds and how it was made.
    """

    def __init__(self, manifest: Manifest, vectors: VectorIndex, passages: PassageTable) -> None:
        self.manifest = manifest
        self.name = manifest.name
        self.version = manifest.version
        self._vectors = vectors
        self._passages = passages

    @classmethod
    def open(
        cls, folder: Path, *, version: int | None = None, fingerprint: str | None = None, check: bool = True
    ) -> "Store":
        """Open a version.

        Args:
            folder: The index's folder.
            version: The version to open; the served one if None.
            fingerprint: The pair's; a store of another pair is refused. None opens any.
            check: Compare all files with their checksums first, which reads them whole (about a second per gigabyte).

        Raises:
            StoreError: There is no such version, it is damaged, or its vectors are another pair's.
        """
        number = served_version(folder) if version is None else version
        if number not in versions(folder):
            raise StoreError(f"there is no version {number}", where=str(folder), remedy=f"It holds {versions(folder)}")
        return open_version(version_folder(folder, number), fingerprint=fingerprint, check=check)

    def __len__(self) -> int:
        return len(self._vectors)

    @property
    def dimension(self) -> int:
        """Length of a vector: the pair's dimension, or the leading dimensions that the index was built with."""
        return self._vectors.dimension

    def search(
        self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None
    ) -> list[list[Hit]]:
        """Look up the nearest passages.

        Args:
            queries: Query states, `float32[n, d]`, finite.
            top_k: Results for each query, at least 1; cut to the number of passages.
            rows: Candidate rows; None for all. At most 4,096 of them are compared exactly whatever the index type.

        Returns:
            For each query its hits, best first; scores are inner products. There are fewer than `top_k` only where
            there are fewer candidates.

        Raises:
            InputError: `top_k`, the shape of the queries or a row is wrong.
        """
        return self._vectors.search(queries, top_k, rows=rows)

    def passage(self, row: int) -> Passage:
        """The passage in a row; IndexError outside 0 .. len - 1."""
        return self._passages[row]

    def passages(self, start: int, stop: int) -> list[StoredPassage]:
        """The rows `start` .. `stop - 1` with their passages, deleted ones included and marked; read in one go."""
        return [
            StoredPassage(row, passage, live=True)
            for row, passage in enumerate(self._passages.slice(start, stop), start)
        ]

    def live_rows(self) -> NDArray[np.int64]:
        """The rows that a lookup may give, ascending, `int64[n]`: those not deleted."""
        return np.arange(len(self))

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The sequence embeddings of rows, in their order, exactly as they were encoded, `float32[n, d]`.

        Raises:
            StoreError: The store did not keep them (see `keeps_vectors`).
        """
        raise NotImplementedError

    @property
    def keeps_vectors(self) -> bool:
        """Whether `vectors` can answer."""
        raise NotImplementedError

    @property
    def parts(self) -> list[Vectors]:
        """The parts of the vectors, in the order of rows."""
        raise NotImplementedError

    def row_of(self, passage_id: str) -> int | None:
        """The row of a passage id, or None where there is none. It scans all ids: for many, ask `rows_of` once."""
        return self._passages.row_of(passage_id)

    def rows_of(self, passage_ids: Sequence[str]) -> NDArray[np.int64]:
        """The rows of many passage ids, ascending, `int64[n]`.

        Raises:
            InputError: The store has no passage of one of the ids.
        """
        rows = self._passages.rows_of(passage_ids)
        if len(rows) < len(set(passage_ids)):
            known = {self.passage(int(row)).id for row in rows}
            missing = next(passage_id for passage_id in passage_ids if passage_id not in known)
            raise InputError(f"the index {self.name!r} has no passage {missing!r}")
        return rows

    def rows_matching(self, filter: Mapping[str, Scalar]) -> NDArray[np.int64]:  # noqa: A002 - the word of the HTTP contract
        """The rows whose metadata equals the filter in every field, ascending, `int64[n]`.

        Numbers compare by value (2020 equals 2020.0); true is not 1, and "1" is not 1.

        Raises:
            InputError: No passage of the store has such a metadata field.
        """
        fields = self.manifest.corpus.metadata_fields
        for field in filter:
            if field not in fields:
                known = f"Its fields are {', '.join(fields)}" if fields else "Its passages have no metadata"
                raise InputError(f"the index {self.name!r} has no metadata field {field!r}", remedy=known)
        return self._passages.rows_matching(filter)

    def close(self) -> None:
        """Let go of the files. Passages and hits already given out stay valid."""
        self._passages.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_version(folder: Path, *, fingerprint: str | None, check: bool) -> Store:
    """Open the version in a folder, which need not be published yet; errors as `Store.open`."""
    manifest = read_manifest(folder)
    if fingerprint is not None and manifest.fingerprint != fingerprint:
        raise StoreError(
            f"its vectors were made by the pair {manifest.fingerprint!r}, this pair is {fingerprint!r}",
            where=str(folder),
            remedy="Use it with its own pair, or build the index again with this one (`cosup index build --pair ...`)",
        )
    if check:
        verify_checksums(folder)
    vectors = VectorIndex(folder / VECTORS, manifest.index.index_type, manifest.index.index_parameters)
    passages = PassageTable(folder / PASSAGES)
    _check_counts(folder, manifest, vectors, passages)
    return Store(manifest, vectors, passages)


def _check_counts(folder: Path, manifest: Manifest, vectors: VectorIndex, passages: PassageTable) -> None:
    count = manifest.corpus.count
    found = {"passages": len(passages), "vectors": len(vectors)}
    for what, number in found.items():
        if number != count:
            raise StoreError(
                f"it has {number} {what}, its manifest says {count}", where=str(folder), remedy="Build again"
            )
    if vectors.dimension != manifest.index.dimension:
        raise StoreError(
            f"its vectors have {vectors.dimension} dimensions, its manifest says {manifest.index.dimension}",
            where=str(folder),
            remedy="Build again",
        )
