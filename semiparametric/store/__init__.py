"""The store: an index of sequence embeddings and the passages they stand for, one version of it on disk."""

from semiparametric.store.backend import Hit
from semiparametric.store.extension import Extension
from semiparametric.store.history import VersionSummary, collect_garbage, list_versions, roll_back
from semiparametric.store.index_summary import IndexSummary
from semiparametric.store.layout import current_version, versions
from semiparametric.store.manifest import BuildRecord, CorpusSummary, Manifest
from semiparametric.store.reader import Store, StoredPassage, manifest_of
from semiparametric.store.writer import VersionWriter

__all__ = [
    "BuildRecord",
    "CorpusSummary",
    "Extension",
    "Hit",
    "IndexSummary",
    "Manifest",
    "Store",
    "StoredPassage",
    "VersionSummary",
    "VersionWriter",
    "collect_garbage",
    "current_version",
    "list_versions",
    "manifest_of",
    "roll_back",
    "versions",
]
