"""`deleted.npy`: the rows of a version that no lookup gives any more."""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import StoreError
from semiparametric.store.layout import DELETED
from semiparametric.store.manifest import Manifest

_REMEDY = "Copy the version again from where it was built, or build it again with `cosup index build`"

# As `np.save` writes it. NumPy's own reader takes the header for Python and ends in errors of Python's parser.
_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '<i8', 'fortran_order': False, 'shape': \(\d+,\), \} *\n", re.DOTALL
)


def write_deleted(folder: Path, rows: NDArray[np.int64]) -> None:
    """Write the rows, ascending, `int64[n]`; no file for none."""
    if len(rows):
        with (folder / DELETED).open("wb") as file:
            np.save(file, rows, allow_pickle=False)


def read_deleted(folder: Path, manifest: Manifest) -> NDArray[np.int64]:
    """The rows, ascending, `int64[n]`.

    Raises:
        StoreError: The file is missing, damaged, or has not the rows that the manifest counts.
    """
    if not manifest.deleted:
        return np.empty(0, np.int64)
    path = folder / DELETED
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot be read ({error.strerror})", where=str(path), remedy=_REMEDY) from error
    header = _HEADER.match(data)
    if header is None or (len(data) - header.end()) % 8:
        raise StoreError("cannot be read as a NumPy array of rows", where=str(path), remedy=_REMEDY)
    rows: NDArray[np.int64] = np.frombuffer(data, np.int64, offset=header.end())
    if len(rows) != manifest.deleted or not (np.diff(rows) > 0).all() or not 0 <= rows[0] <= rows[-1] < manifest.rows:
        raise StoreError(
            f"does not hold {manifest.deleted} ascending rows below {manifest.rows}", where=str(path), remedy=_REMEDY
        )
    return rows
