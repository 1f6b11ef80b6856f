"""The store as the service sees it: one version, read-only, memory-mapped."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage, Scalar
from semiparametric.store.backend import Hit, Vectors
from semiparametric.store.checksums import check_names, check_regular, verify_checksums
from semiparametric.store.layout import MANIFEST, served_version, version_folder, versions
from semiparametric.store.manifest import Manifest, read_manifest
from semiparametric.store.parts import Parts, open_parts
from semiparametric.store.passages import PassageTable
from semiparametric.store.tombstones import read_deleted

_hit = partial(tuple.__new__, Hit)  # of (row, score), in half the time of calling `Hit`


class StoredPassage(NamedTuple):
    """A row of the store."""

    row: int
    passage: Passage
    live: bool
    """False for one that was deleted or replaced since the build."""


class Store:
    """One published version of an index. All methods but `close` are safe to call from many threads at once.

    A row that was deleted or replaced since the build is never found again, by whatever it is looked up. Its passage
    can still be read by its row.

    Attributes:
        name: The index's name.
        version: The version that is open.
        manifest: What it holds and how it was made.
    """

    def __init__(self, manifest: Manifest, vectors: Parts, passages: PassageTable, deleted: NDArray[np.int64]) -> None:
        self.manifest = manifest
        self.name = manifest.name
        self.version = manifest.version
        self._vectors = vectors
        self._passages = passages
        self._deleted = deleted

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
                FAISS and Arrow believe what they read: without it, a damaged file may give wrong results or end the
                process. Only for files that were compared or written a moment ago.

        Raises:
            StoreError: There is no such version, it is damaged, or its vectors are another pair's.
        """
        return open_version(_folder_of(folder, version), fingerprint=fingerprint, check=check)

    def __len__(self) -> int:
        """Passages that a lookup may give."""
        return self.manifest.corpus.count

    @property
    def dimension(self) -> int:
        """Length of a vector: the pair's dimension, or the leading dimensions that the index was built with."""
        return self._vectors.dimension

    @property
    def parts(self) -> list[Vectors]:
        """The parts of the vectors, in the order of rows."""
        return self._vectors.parts

    @property
    def keeps_vectors(self) -> bool:
        """Whether `vectors` can answer."""
        return self._vectors.keeps_vectors

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
        if top_k < 1:
            raise InputError(f"top_k is {top_k}", remedy="Ask for at least one passage")
        candidates = None if rows is None else self._live(self._checked_rows(rows))
        top_k = min(top_k, len(self) if candidates is None else len(candidates))
        if not top_k:
            return [[] for _ in queries]
        found = self._vectors.search(queries, top_k, rows=candidates)
        lists = zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        if found.is_full:
            return [list(map(_hit, zip(*each, strict=True))) for each in lists]
        return [[Hit(row, score) for row, score in zip(*each, strict=True) if row >= 0] for each in lists]

    def passage(self, row: int) -> Passage:
        """The passage in a row, deleted or not; IndexError for no row of the store."""
        return self._passages[row]

    def passages(self, start: int, stop: int) -> list[StoredPassage]:
        """The rows `start` .. `stop - 1` with their passages, deleted ones included and marked; read in one go."""
        rows = np.arange(start, min(stop, len(self._passages)))
        passages = self._passages.slice(start, stop)
        live = self._are_live(rows).tolist()
        return [StoredPassage(*each) for each in zip(rows.tolist(), passages, live, strict=True)]

    def live_rows(self) -> NDArray[np.int64]:
        """The rows that a lookup may give, ascending, `int64[n]`."""
        return np.delete(np.arange(len(self._passages)), self._deleted)

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The sequence embeddings of rows, in their order, exactly as they were encoded, `float32[n, d]`.

        Raises:
            InputError: There is no such row.
            StoreError: The store did not keep them (see `keeps_vectors`).
        """
        self._checked_rows(rows)
        return self._vectors.reconstruct(np.asarray(rows, np.int64))

    def row_of(self, passage_id: str) -> int | None:
        """The row of a passage id, or None where there is none. It scans all ids: for many, ask `rows_of` once."""
        rows = self._live(self._passages.rows_of([passage_id]))
        return int(rows[0]) if len(rows) else None

    def rows_of(self, passage_ids: Sequence[str]) -> NDArray[np.int64]:
        """The rows of many passage ids, ascending, `int64[n]`.

        Raises:
            InputError: The store has no passage of one of the ids.
        """
        rows = self._live(self._passages.rows_of(passage_ids))
        if len(rows) < len(set(passage_ids)):
            known = set(self._passages.ids(rows))
            missing = next(passage_id for passage_id in passage_ids if passage_id not in known)
            raise InputError(f"the index has no passage {missing!r}")
        return rows

    def rows_among(self, passage_ids: Sequence[str]) -> NDArray[np.int64]:
        """The rows of those of the passage ids that the store has, ascending, `int64[<= len(passage_ids)]`."""
        return self._live(self._passages.rows_of(passage_ids))

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
                raise InputError(f"the index has no metadata field {field!r}", remedy=known)
        return self._live(self._passages.rows_matching(filter))

    def close(self) -> None:
        """Let go of the files. Passages and hits already given out stay valid."""
        self._passages.close()
        self._vectors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _live(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        return rows[self._are_live(rows)]

    def _are_live(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of the rows are not deleted; a few steps for each, however many were."""
        if not len(self._deleted):
            return np.ones(len(rows), bool)
        places = np.minimum(np.searchsorted(self._deleted, rows), len(self._deleted) - 1)
        live: NDArray[np.bool_] = self._deleted[places] != rows
        return live

    def _checked_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        rows = np.unique(np.asarray(rows, np.int64))
        if len(rows) and not 0 <= rows[0] <= rows[-1] < len(self._passages):
            outside = rows[0] if rows[0] < 0 else rows[-1]
            raise InputError(f"row {outside} is not one of the {len(self._passages)} rows")
        return rows


def manifest_of(folder: Path, *, version: int | None = None) -> Manifest:
    """The manifest of a version, compared with its checksum. No other file is opened, so none need be compared.

    Args:
        folder: The index's folder.
        version: The version; the served one if None.

    Raises:
        StoreError: There is no such version, or its manifest is damaged.
    """
    return _manifest(_folder_of(folder, version), check=True)


def _folder_of(index: Path, version: int | None) -> Path:
    number = served_version(index) if version is None else version
    if number not in versions(index):
        raise StoreError(f"there is no version {number}", where=str(index), remedy=f"It holds {versions(index)}")
    return version_folder(index, number)


def open_version(folder: Path, *, fingerprint: str | None, check: bool) -> Store:
    """Open the version in a folder, which need not be published yet; errors as `Store.open`."""
    manifest = _manifest(folder, check=check)
    if fingerprint is not None and manifest.fingerprint != fingerprint:
        raise StoreError(
            f"its vectors were made by the pair {manifest.fingerprint!r}, this pair is {fingerprint!r}",
            where=str(folder),
            remedy="Use it with its own pair, or build the index again with this one (`cosup index build --pair ...`)",
        )
    for name in manifest.files():
        check_regular(folder / name)
    if check:
        check_names(folder, [MANIFEST, *manifest.files()])
        verify_checksums(folder, manifest.files())
    return _opened(manifest, folder)


def _manifest(folder: Path, *, check: bool) -> Manifest:
    if folder.is_symlink():
        raise StoreError(
            "is a symbolic link, which could lead anywhere", where=str(folder), remedy="Put the folder there"
        )
    if check and (folder / MANIFEST).exists():
        verify_checksums(folder, [MANIFEST])  # before anything it says is believed
    return read_manifest(folder)


def _opened(manifest: Manifest, folder: Path) -> Store:
    deleted = read_deleted(folder, manifest)
    passages = PassageTable(*(folder / file.file for file in manifest.passage_files))
    try:
        vectors = open_parts(manifest, folder, deleted)
    except BaseException:
        passages.close()
        raise
    store = Store(manifest, vectors, passages, deleted)
    try:
        _check_counts(folder, manifest, vectors, passages)
    except StoreError:
        store.close()
        raise
    return store


def _check_counts(folder: Path, manifest: Manifest, vectors: Parts, passages: PassageTable) -> None:
    compared = [("passages", len(passages), manifest.rows)]
    for part, recorded in zip(vectors.parts, manifest.parts, strict=True):
        compared.append(("vectors", len(part), recorded.count))
        compared.append(("dimensions", part.dimension, manifest.index.dimension))
    for what, found, expected in compared:
        if found != expected:
            raise StoreError(
                f"it has {found} {what}, its manifest says {expected}", where=str(folder), remedy="Build again"
            )
