"""What the operating system refuses, in words: a full disk, a folder that may not be written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from semiparametric.errors import StoreError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_FOLDER = {errno.ENOTDIR, errno.EEXIST}


@contextmanager
def storage_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError of writing below `folder` into a StoreError with its remedy; others pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"there is no space left ({error.strerror})",
                where=str(folder),
                remedy="The served version is untouched. Free some space and run the same command again: it resumes",
            ) from error
        if error.errno in _REFUSED:
            raise StoreError(
                f"cannot be written ({error.strerror})",
                where=str(folder),
                remedy="Name another folder or ask for the right to write this one",
            ) from error
        if error.errno in _NO_FOLDER:
            raise StoreError("is a file, not a folder", where=str(folder), remedy="Name a folder") from error
        raise
