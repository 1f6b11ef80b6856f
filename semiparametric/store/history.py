"""The versions of an index: what there is, going back to one, and removing those that nobody needs."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class VersionSummary:
    """One version in a list. What its manifest would say is None where the manifest cannot be read."""

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
    """Bytes of the files that no other version shares: what removing it frees."""
    problem: str | None = None
    """Why its manifest cannot be read."""


def list_versions(index: Path) -> list[VersionSummary]:
    """The versions of an index, oldest first; a damaged one is listed with its problem.

    Raises:
        StoreError: There is no version.
    """
    raise NotImplementedError


def roll_back(index: Path, version: int | None = None) -> int:
    """Serve an older version again, after verifying it; the caller holds `build_lock(index)`.

    Args:
        index: The index's folder.
        version: The version to serve; the newest one older than the served one if None.

    Returns:
        The version that is served now.

    Raises:
        StoreError: There is no such version, or it is damaged. What is served stays.
    """
    raise NotImplementedError


def collect_garbage(index: Path, keep: int) -> list[int]:
    """Remove old versions and what killed builds left; the caller holds `build_lock(index)`.

    Args:
        index: The index's folder.
        keep: So many of the newest versions stay, at least 1; the served one always stays.

    Returns:
        The versions removed, oldest first.

    Raises:
        InputError: `keep` is below 1.
        StoreError: The folder cannot be written.
    """
    raise NotImplementedError
