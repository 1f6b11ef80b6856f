"""A build from beginning to end: passages, vectors, a published version."""

import logging
import shutil
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import faiss

from index_builder.corpus import read_corpus
from index_builder.encoding import check_device, encode
from index_builder.settings import BuildSettings
from index_builder.shards import ShardInputs, Shards
from semiparametric.errors import InputError
from semiparametric.pair import read_spec
from semiparametric.spec import PairSpec
from semiparametric.store import BuildRecord, CorpusSummary, Manifest, Store, VersionWriter, current_version, versions
from semiparametric.store.failures import storage_errors
from semiparametric.store.layout import version_folder
from semiparametric.store.lock import build_lock
from semiparametric.store.manifest import read_manifest
from semiparametric.store.publish import publish

logger = logging.getLogger(__name__)

_ENCODING_LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
_LIBRARIES = (*_ENCODING_LIBRARIES, "pyarrow")


def build_index(settings: BuildSettings) -> Manifest:
    """Build the next version of an index and publish it.

    A build that was killed goes on where it stopped when it is run again with the same settings, and ends with the same
    bytes as an undisturbed one.

    Raises:
        InputError: The corpus or a setting is wrong.
        PairError: The pair cannot be read.
        StoreError: The disk is full, the folder cannot be written, or the result does not read back whole.
        BusyError: Another build is writing this index.
    """
    started = datetime.now(UTC)
    spec = read_spec(settings.pair)
    spec.served_dimension(settings.dimension)
    device = check_device(settings.device)
    if not settings.corpus.exists():
        raise InputError("no such file or folder", where=str(settings.corpus))
    with build_lock(settings.out):
        writer = VersionWriter(settings.out)
        corpus = writer.write_passages(read_corpus(settings.corpus, passage_words=settings.passage_words))
        logger.info("%s: %d passages", settings.corpus, corpus.count)
        sealed = _publish_sealed(writer, corpus, settings, spec)
        if sealed:
            return sealed
        shards = _encoded(writer, corpus, settings, spec, device)
        logger.info("building the %s index and measuring its recall", settings.index_type)
        index = writer.write_vectors(shards, settings.index_type, settings.index_parameters)
        record = _record(settings, started)
        name = settings.name or settings.out.resolve().name
        return writer.publish(name=name, fingerprint=spec.fingerprint, corpus=corpus, index=index, build=record)


def _encoded(
    writer: VersionWriter, corpus: CorpusSummary, settings: BuildSettings, spec: PairSpec, device: str
) -> Shards:
    inputs = ShardInputs(
        corpus_digest=corpus.digest,
        fingerprint=spec.fingerprint,
        count=corpus.count,
        dimension=spec.served_dimension(settings.dimension),
        shard_passages=settings.shard_passages,
        batch_tokens=settings.batch_tokens,
        device=device,
        libraries={name: version(name) for name in _ENCODING_LIBRARIES},
    )
    with storage_errors(settings.out), writer.passages() as passages:
        shards = Shards(writer.folder, inputs)
        encode(
            shards,
            passages,
            pair=settings.pair,
            device=settings.device,
            batch_tokens=settings.batch_tokens,
            dimension=settings.dimension,
        )
    return shards


def _publish_sealed(
    writer: VersionWriter, corpus: CorpusSummary, settings: BuildSettings, spec: PairSpec
) -> Manifest | None:
    """Publish the version of this very build, if a run of it was killed between sealing it and publishing it."""
    newest = max(versions(settings.out), default=0)
    if newest <= (current_version(settings.out) or 0):
        return None
    manifest = read_manifest(version_folder(settings.out, newest))
    same = (corpus, spec.fingerprint, _recorded(settings), _libraries())
    if (manifest.corpus, manifest.fingerprint, manifest.build.settings, manifest.build.libraries) != same:
        return None
    Store.open(settings.out, version=newest, check=True).close()
    with storage_errors(settings.out):
        shutil.rmtree(writer.folder)
        publish(settings.out, newest)
    logger.info("version %d was whole already and is now served", newest)
    return manifest


def _record(settings: BuildSettings, started: datetime) -> BuildRecord:
    return BuildRecord(
        sources=[str(settings.corpus)],
        settings=_recorded(settings),
        libraries=_libraries(),
        started=started,
        finished=datetime.now(UTC),
    )


def _recorded(settings: BuildSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json")


def _libraries() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES} | {"faiss": faiss.__version__}
