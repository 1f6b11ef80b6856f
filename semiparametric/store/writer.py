"""Writing a version: beside the served one, verified by reopening, then published."""

import logging
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from semiparametric.formats import Passage
from semiparametric.store.checksums import digests_of, verify_checksums, write_checksums
from semiparametric.store.failures import storage_errors
from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_summary import IndexSummary
from semiparametric.store.index_writing import Blocks
from semiparametric.store.layout import (
    CHECKSUMS,
    MANIFEST,
    PASSAGES,
    killed_builds,
    next_version,
    partial_folder,
)
from semiparametric.store.manifest import (
    BuildRecord,
    CorpusSummary,
    Manifest,
    PassageFile,
    VectorPart,
    write_manifest,
)
from semiparametric.store.milvus_collections import summarise, write_collection
from semiparametric.store.part_writing import write_parts
from semiparametric.store.passage_writing import write_passages
from semiparametric.store.passages import PassageTable
from semiparametric.store.publish import publish, seal
from semiparametric.store.reader import open_version

logger = logging.getLogger(__name__)


class VersionWriter:
    """Writes the next version of an index, in the order: passages, vectors, publish.

    The caller holds `build_lock(index)`. A version that was left half-written is written over; a caller may keep files
    of its own in `folder` meanwhile (to resume from), and `publish` removes them. A killed build's folder is taken over
    also where another version, such as an extension, was published since.

    Attributes:
        version: The number of the version being written.
        folder: Where it is written until it is published.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        self.version = next_version(index)
        self.folder = partial_folder(index, self.version)
        self._parts: list[VectorPart] = []
        killed = killed_builds(index)
        with storage_errors(index):
            if killed and self.version not in killed:
                partial_folder(index, killed[-1]).rename(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)

    def write_passages(self, passages: Iterable[Passage]) -> CorpusSummary:
        """Write `passages.arrow`, streaming.

        Raises:
            InputError: There is no passage, or an id occurs twice.
            StoreError: The disk is full.
        """
        with storage_errors(self.index):
            return write_passages(self.folder / PASSAGES, passages)

    def passages(self) -> PassageTable:
        """The passages written, by row."""
        return PassageTable(self.folder / PASSAGES)

    def write_vectors(self, blocks: Blocks, plan: IndexPlan) -> IndexSummary:
        """Write the vectors as FAISS indexes, choose their search setting and measure their recall.

        Args:
            blocks: Sequence embeddings, `float32[n, d]` each, in the order of the passages; read several times.
            plan: How to index them.

        Raises:
            InputError: There is no vector, or the plan cannot be carried out with these.
            StoreError: The disk is full.
        """
        with storage_errors(self.index):
            self._parts, summary = write_parts(self.folder, blocks, plan)
        return summary

    def write_collection(
        self,
        blocks: Blocks,
        *,
        uri: str | None,
        index_type: str,
        parameters: Mapping[str, int | str | None],
    ) -> IndexSummary:
        """Write the vectors into Milvus instead of a file, and measure the recall of lookups there.

        Args:
            blocks: As for `write_vectors`.
            uri: Where Milvus is; a local database in the index's folder if None.
            index_type: `flat`, `hnsw`, or `auto` for what Milvus itself takes.
            parameters: The type's numbers; the usual one for each that is missing or None.

        Raises:
            InputError: The index type is none of those, or there is no vector.
            StoreError: Milvus does not answer or refuses, or the disk is full.
        """
        with storage_errors(self.index):
            collection = write_collection(
                self.index, self.version, blocks, uri=uri, index_type=index_type, parameters=parameters
            )
        self._parts = [collection]
        return summarise(collection, self.index, blocks, index_type=index_type, parameters=parameters)

    def publish(
        self, *, name: str, fingerprint: str, corpus: CorpusSummary, index: IndexSummary, build: BuildRecord
    ) -> Manifest:
        """Complete the version, verify it by reopening, and make it the served one; errors as `complete`."""
        manifest = self.complete(name=name, fingerprint=fingerprint, corpus=corpus, index=index, build=build)
        self.serve()
        return manifest

    def complete(
        self, *, name: str, fingerprint: str, corpus: CorpusSummary, index: IndexSummary, build: BuildRecord
    ) -> Manifest:
        """Write manifest and checksums, and verify all that was written by reading it.

        Raises:
            StoreError: What was written does not read back whole, or the disk is full. The served version is untouched.
        """
        manifest = Manifest(
            name=name,
            version=self.version,
            fingerprint=fingerprint,
            corpus=corpus,
            passage_files=[PassageFile(file=PASSAGES, count=corpus.count)],
            store="milvus" if any(part.collection for part in self._parts) else "faiss",
            parts=self._parts,
            index=index,
            build=build,
        )
        with storage_errors(self.index):
            write_manifest(self.folder, manifest)
            names = [MANIFEST, *manifest.files()]
            write_checksums(self.folder, digests_of(self.folder, names))
            verify_checksums(self.folder, names)
            open_version(self.folder, fingerprint=fingerprint, check=False).close()  # compared one line ago
            self._keep_only({CHECKSUMS, *names})
        return manifest

    def serve(self) -> None:
        """Make the completed version the served one.

        Raises:
            StoreError: The disk is full. The served version is untouched.
        """
        with storage_errors(self.index):
            seal(self.index, self.version)
            publish(self.index, self.version)
        logger.info("%s: version %d is now served", self.index, self.version)

    def _keep_only(self, names: set[str]) -> None:
        for entry in self.folder.iterdir():
            if entry.name in names:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
