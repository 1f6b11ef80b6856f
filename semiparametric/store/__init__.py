"""The store: an index of sequence embeddings and the passages they stand for, one version of it on disk."""

from semiparametric.store.layout import current_version, versions
from semiparametric.store.manifest import BuildRecord, CorpusSummary, IndexSummary, Manifest
from semiparametric.store.reader import Store
from semiparametric.store.vectors import Hit
from semiparametric.store.writer import VersionWriter

__all__ = [
    "BuildRecord",
    "CorpusSummary",
    "Hit",
    "IndexSummary",
    "Manifest",
    "Store",
    "VersionWriter",
    "current_version",
    "versions",
]
