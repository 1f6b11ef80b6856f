"""The next version from the served one without building it again: passages added, replaced and deleted.

What is added lies in a delta: one more file of passages and one more part of vectors, searched exactly. There is at
most one: the next extension writes it anew, with what is left of it. Rows of the build stay as they are; those that are
deleted or replaced are listed in `deleted.npy`.
"""

import hashlib
import json
import logging
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError
from semiparametric.formats import Passage
from semiparametric.store.checksums import (
    check_names,
    digests_of,
    read_checksums,
    verify_checksums,
    write_checksums,
)
from semiparametric.store.failures import storage_errors
from semiparametric.store.index_summary import IndexSummary
from semiparametric.store.layout import (
    DELETED,
    DELTA_PASSAGES,
    DELTA_VECTORS,
    MANIFEST,
    extension_folder,
    killed_extensions,
    next_version,
    version_folder,
)
from semiparametric.store.linking import link_files
from semiparametric.store.manifest import (
    BuildRecord,
    CorpusSummary,
    Manifest,
    PassageFile,
    VectorPart,
    write_manifest,
)
from semiparametric.store.part_writing import write_delta
from semiparametric.store.passage_writing import write_passages
from semiparametric.store.publish import publish, seal
from semiparametric.store.reader import Store, open_version
from semiparametric.store.tombstones import write_deleted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Change:
    """What the next version has other than the rows of its build."""

    deleted: NDArray[np.int64]
    """Rows of the build that are not found any more, ascending."""

    delta: list[Passage]
    """What is left of the delta before, then what is added."""

    vectors: NDArray[np.float32]
    """Those of the delta."""

    same_delta: bool
    """Whether the delta is that of the version before."""


class Extension:
    """Writes the next version as the served one, less some passages, plus some; the caller holds `build_lock(index)`.

    The files of the served version are read once, to compare them with their checksums, and hard-linked. All else costs
    time and disk for what changes only. It is a context manager, as the store is.

    Attributes:
        base: The served version, open. All its files were compared with their checksums, which are passed on: a
            damaged file must not become part of one version more.
        version: The number of the version to be written.

    Raises:
        StoreError: Nothing is served, or it is damaged.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        self.base = Store.open(index)
        self.version = next_version(index)
        self._from = version_folder(index, self.base.version)
        self._folder = extension_folder(index, self.version)
        self._built = sum(part.count for part in self.base.manifest.parts if not part.delta)

    def publish(
        self,
        *,
        added: Sequence[Passage],
        vectors: NDArray[np.float32],
        deleted_ids: Sequence[str],
        build: BuildRecord,
        index: IndexSummary | None = None,
    ) -> Manifest:
        """Write the version, verify it by reopening, and make it the served one.

        Args:
            added: New passages; one whose id the served version has replaces that one.
            vectors: Their sequence embeddings, `float32[len(added), d]`.
            deleted_ids: Passages to leave out.
            build: How the version was made.
            index: What the manifest says of the index where that changes (another search setting); the base's if None.

        Raises:
            InputError: An id stands twice, one to delete is unknown, nothing would be left, or the vectors do not fit.
            StoreError: What was written does not read back whole, or the disk is full. The served version is untouched.
        """
        self._check(added, vectors, deleted_ids)
        change = self._change(added, vectors, deleted_ids)
        fields = {*self.base.manifest.corpus.metadata_fields, *(name for each in added for name in each.metadata)}
        with storage_errors(self.index):
            self._clear()
            digests, written = self._write(change)
            manifest = self._manifest(change, digests, sorted(fields), build, index or self.base.manifest.index)
            self._complete(manifest, digests, written)
            seal(self.index, self.version, self._folder)
            publish(self.index, self.version)
        logger.info("%s: version %d is now served", self.index, self.version)
        return manifest

    def _check(self, added: Sequence[Passage], vectors: NDArray[np.float32], deleted_ids: Sequence[str]) -> None:
        for passage_id, count in Counter([*(passage.id for passage in added), *deleted_ids]).items():
            if count > 1:
                raise InputError(
                    f"the id {passage_id!r} stands {count} times in one batch",
                    remedy="Add or delete a passage once at a time",
                )
        self.base.rows_of(deleted_ids)
        expected = (len(added), self.base.dimension)
        if vectors.shape != expected:
            raise InputError(
                f"the vectors of the passages to add have the shape {list(vectors.shape)}, not {list(expected)}",
                remedy="Encode the passages with the index's own pair, to the index's dimension",
            )
        if not np.isfinite(vectors).all():
            raise InputError("a vector to add holds NaN or infinity", remedy="Check the pair's weights")

    def _change(self, added: Sequence[Passage], vectors: NDArray[np.float32], deleted_ids: Sequence[str]) -> _Change:
        alive = np.zeros(self.base.manifest.rows, bool)
        alive[self.base.live_rows()] = True
        alive[self.base.rows_among([*(passage.id for passage in added), *deleted_ids])] = False
        if not alive.any() and not added:
            raise InputError(
                f"this would delete all {len(self.base)} passages of the index {self.base.name!r}",
                remedy="An index keeps at least one; to be rid of it, stop serving it and remove its folder",
            )
        kept = self._built + np.flatnonzero(alive[self._built :])
        return _Change(
            deleted=np.flatnonzero(~alive[: self._built]),
            delta=[*(self.base.passage(row) for row in kept.tolist()), *added],
            vectors=np.concatenate([self.base.vectors(kept), np.asarray(vectors, np.float32)]),
            same_delta=not added and self._built + len(kept) == len(alive),
        )

    def _clear(self) -> None:
        """Remove what killed extensions left: the lock is held, so none is alive."""
        for folder in killed_extensions(self.index):
            shutil.rmtree(folder)
        self._folder.mkdir()

    def _write(self, change: _Change) -> tuple[dict[str, str], set[str]]:
        """Link what stays and write the rest; the digests of all files, and the names of those just written."""
        renewed = {DELETED} if change.same_delta else {DELETED, DELTA_PASSAGES, DELTA_VECTORS}
        recorded = read_checksums(self._from)
        staying = [name for name in self.base.manifest.files() if name not in renewed]
        linked = link_files(self._from, self._folder, staying)
        if change.delta and not change.same_delta:
            write_passages(self._folder / DELTA_PASSAGES, change.delta)
            write_delta(self._folder / DELTA_VECTORS, change.vectors)
        write_deleted(self._folder, change.deleted)
        names = {entry.name for entry in self._folder.iterdir()}
        return digests_of(self._folder, names, known={name: recorded[name] for name in linked}), names - linked

    def _manifest(
        self, change: _Change, digests: Mapping[str, str], fields: list[str], build: BuildRecord, index: IndexSummary
    ) -> Manifest:
        base = self.base.manifest
        files = [file for file in base.passage_files if file.file != DELTA_PASSAGES]
        parts = [part for part in base.parts if not part.delta]
        if change.delta:
            files.append(PassageFile(file=DELTA_PASSAGES, count=len(change.delta)))
            parts.append(VectorPart(file=DELTA_VECTORS, count=len(change.delta), delta=True))
        whole = json.dumps([digests.get(name) for name in [*(file.file for file in files), DELETED]])
        return Manifest(
            name=base.name,
            version=self.version,
            fingerprint=base.fingerprint,
            store=base.store,
            corpus=CorpusSummary(
                count=self._built - len(change.deleted) + len(change.delta),
                digest=hashlib.sha256(whole.encode()).hexdigest(),
                metadata_fields=fields,
            ),
            passage_files=files,
            parts=parts,
            deleted=len(change.deleted),
            base=base.version,
            index=index,
            build=build,
        )

    def _complete(self, manifest: Manifest, digests: dict[str, str], written: set[str]) -> None:
        write_manifest(self._folder, manifest)
        write_checksums(self._folder, digests | digests_of(self._folder, [MANIFEST]))
        check_names(self._folder, [MANIFEST, *manifest.files()])
        verify_checksums(self._folder, [MANIFEST, *sorted(written)])
        # what was written was compared two lines ago, and what was linked when the base was opened
        open_version(self._folder, fingerprint=manifest.fingerprint, check=False).close()

    def close(self) -> None:
        """Let go of the served version's files."""
        self.base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
