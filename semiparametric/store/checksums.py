"""`SHA256SUMS`, in the form that `sha256sum --check` reads."""

import hashlib
from pathlib import Path

from semiparametric.errors import StoreError
from semiparametric.store.layout import CHECKSUMS, FILES

_REMEDY = "Copy the version again from where it was built, or build it again with `cosup index build`"


def write_checksums(folder: Path) -> None:
    """Write the checksums of a version's files."""
    lines = [f"{_digest(folder / name)}  {name}\n" for name in FILES]
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8")


def verify_checksums(folder: Path) -> None:
    """Compare a version's files with their checksums.

    Raises:
        StoreError: A file is missing or is not the one that was written; the file is named.
    """
    recorded = _recorded(folder / CHECKSUMS)
    for name in FILES:
        path = folder / name
        if not path.is_file():
            raise StoreError("the file is missing", where=str(path), remedy=_REMEDY)
        if name not in recorded:
            raise StoreError(f"{CHECKSUMS} does not name {name}", where=str(folder), remedy=_REMEDY)
        found = _digest(path)
        if found != recorded[name]:
            raise StoreError(
                f"damaged: its checksum is {found[:12]}..., {CHECKSUMS} says {recorded[name][:12]}...",
                where=str(path),
                remedy=_REMEDY,
            )


def _recorded(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise StoreError("the file is missing", where=str(path), remedy=_REMEDY)
    lines = path.read_text("utf-8", errors="replace").splitlines()
    pairs = [line.split("  ", 1) for line in lines if "  " in line]
    return {name: digest for digest, name in pairs}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
