"""The versions of an index: what there is, going back to one, and removing those that nobody needs."""

import logging
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from semiparametric.errors import InputError, StoreError
from semiparametric.store.failures import storage_errors
from semiparametric.store.layout import (
    current_version,
    partial_folders,
    removal_folder,
    served_version,
    version_folder,
    versions,
)
from semiparametric.store.linking import bytes_freed, bytes_of
from semiparametric.store.milvus_collections import remove_unnamed
from semiparametric.store.publish import publish
from semiparametric.store.reader import Store, manifest_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VersionSummary:
    """One version in a list."""

    version: int
    served: bool
    count: int | None
    """Passages that a lookup may give."""
    deleted: int | None
    """Rows that a compaction would remove."""
    base: int | None
    """The version that this one extends; None for a whole build."""
    index_type: str | None
    created: datetime | None
    """When its build ended, UTC."""
    size: int
    """Bytes of its files."""
    own: int
    """Bytes of those that no other version shares: what removing it alone frees."""
    problem: str | None = None
    """Why its manifest cannot be read or believed; what it would say is None then. Other files are not looked into."""


def list_versions(index: Path) -> list[VersionSummary]:
    """The versions of an index, oldest first; a damaged one is listed with its problem.

    Raises:
        StoreError: There is no version.
    """
    numbers = versions(index)
    if not numbers:
        served_version(index)  # says what is wrong with a folder that has none
    served = current_version(index)
    return [_summary(index, number, served=number == served) for number in numbers]


def roll_back(index: Path, version: int | None = None) -> int:
    """Serve an older version again, after verifying it; the caller holds `build_lock(index)`.

    Any whole version may be named, a newer one too: that undoes a rollback.

    Args:
        index: The index's folder.
        version: The version to serve; the newest one older than the served one if None.

    Returns:
        The version that is served now.

    Raises:
        StoreError: There is no such version, or it is damaged. What is served stays.
    """
    number = _before(index) if version is None else version
    Store.open(index, version=number, check=True).close()
    with storage_errors(index):
        publish(index, number)
    logger.info("%s: version %d is served again", index, number)
    return number


def collect_garbage(index: Path, keep: int) -> list[int]:
    """Remove old versions and what killed builds left; the caller holds `build_lock(index)`.

    A service that has a removed version open goes on answering from it: the bytes go when the last reader closes them.

    Args:
        index: The index's folder.
        keep: So many of the newest versions stay, at least 1; the served one always stays.

    Returns:
        The versions removed, oldest first.

    Raises:
        InputError: `keep` is below 1.
        StoreError: Nothing is served, or the folder cannot be written.
    """
    if keep < 1:
        raise InputError(f"keep is {keep}", remedy="Keep at least one version")
    staying = {served_version(index), *versions(index)[-keep:]}
    leaving = [number for number in versions(index) if number not in staying]
    with storage_errors(index):
        freed = bytes_freed(version_folder(index, number) for number in leaving)
        for number in leaving:
            _remove(index, number)
        for folder in partial_folders(index):
            logger.info("%s: removing what a killed run left", folder)
            shutil.rmtree(folder)
        remove_unnamed(index)
    logger.info("%s: %d versions removed, %d bytes freed", index, len(leaving), freed)
    return leaving


def _remove(index: Path, number: int) -> None:
    """Under another name first, so that a kill leaves no half of a version."""
    removal = removal_folder(index, number)
    if removal.exists():
        shutil.rmtree(removal)
    version_folder(index, number).rename(removal)
    shutil.rmtree(removal)


def _before(index: Path) -> int:
    served = served_version(index)
    older = [number for number in versions(index) if number < served]
    if not older:
        raise StoreError(
            f"there is no version older than {served}, which is served",
            where=str(index),
            remedy=f"It holds {versions(index)}",
        )
    return older[-1]


def _summary(index: Path, number: int, *, served: bool) -> VersionSummary:
    folder = version_folder(index, number)
    size, own = bytes_of(folder), bytes_freed([folder])
    try:
        manifest = manifest_of(index, version=number)
    except StoreError as error:
        return VersionSummary(number, served, None, None, None, None, None, size, own, str(error))
    return VersionSummary(
        version=number,
        served=served,
        count=manifest.corpus.count,
        deleted=manifest.deleted,
        base=manifest.base,
        index_type=manifest.index.index_type,
        created=manifest.build.finished,
        size=size,
        own=own,
    )
