"""Publication: a whole, verified version becomes the served one by one atomic rename of `CURRENT`.

At every moment `CURRENT` names a whole version: the power may fail between any two lines of this file.
"""

import os
from pathlib import Path

from semiparametric.store.layout import CURRENT, partial_folder, version_folder


def seal(index: Path, version: int, partial: Path | None = None) -> None:
    """Rename the folder that a version was written in to `versions/<n>`, after all its bytes are on the disk.

    Args:
        index: The index's folder.
        version: The version's number.
        partial: Where it was written; `versions/<n>.partial` if None.
    """
    partial = partial or partial_folder(index, version)
    for file in partial.iterdir():
        _sync(file)
    _sync(partial)
    partial.rename(version_folder(index, version))
    _sync(partial.parent)


def publish(index: Path, version: int) -> None:
    """Make a sealed version the served one."""
    new = index / f"{CURRENT}.new"
    new.write_text(f"{version}\n", "utf-8")
    _sync(new)
    new.replace(index / CURRENT)  # the one atomic step: readers see the old version before it and the new one after
    _sync(index)


def _sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
