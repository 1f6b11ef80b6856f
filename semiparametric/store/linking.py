"""Files of one version as files of the next: hard links, since no file of a version ever changes."""

import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

_NO_LINKS = {errno.EPERM, errno.EMLINK, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}


def link_files(source: Path, target: Path, names: Iterable[str]) -> set[str]:
    """Link files into another folder; where the file system cannot, copy them.

    Returns:
        The names of those that were linked: their bytes are the same ones, and need not be read again to know them.
    """
    linked = set()
    for name in names:
        try:
            os.link(source / name, target / name, follow_symlinks=False)
            linked.add(name)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            shutil.copyfile(source / name, target / name, follow_symlinks=False)
    return linked


def bytes_of(folder: Path) -> int:
    """The size of a folder's files."""
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.is_file(follow_symlinks=False))


def bytes_freed(folders: Iterable[Path]) -> int:
    """What removing folders frees: the size of those files that have no link outside them."""
    links: dict[tuple[int, int], int] = {}
    freed = 0
    for folder in folders:
        for entry in os.scandir(folder):
            status = entry.stat(follow_symlinks=False)
            file = (status.st_dev, status.st_ino)
            links[file] = links.get(file, 0) + 1
            if links[file] == status.st_nlink:
                freed += status.st_size
    return freed
