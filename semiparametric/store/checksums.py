"""`SHA256SUMS`, in the form that `sha256sum --check` reads: the files of a version, and what they hold.

Everything is judged by the names in the folder, never by following them: a name that could lead out of it, a symbolic
link, a file too many or too few is refused.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from semiparametric.errors import StoreError
from semiparametric.store.layout import CHECKSUMS
from semiparametric.store.manifest import plain_name

_REMEDY = "Copy the version again from where it was built, or build it again with `cosup index build`"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def digests_of(folder: Path, names: Iterable[str], *, known: Mapping[str, str] | None = None) -> dict[str, str]:
    """The SHA-256 digests of files by name; those that are `known` already are not read."""
    known = known or {}
    return {name: known[name] if name in known else _digest(folder / name) for name in names}


def write_checksums(folder: Path, digests: Mapping[str, str]) -> None:
    """Write the checksums of a version's files."""
    lines = [f"{digest}  {name}\n" for name, digest in sorted(digests.items())]
    (folder / CHECKSUMS).write_text("".join(lines), "utf-8")


def read_checksums(folder: Path) -> dict[str, str]:
    """The digests of a version's files by name.

    Raises:
        StoreError: A line is not one of a digest and a plain name, or names a file for the second time.
    """
    path = folder / CHECKSUMS
    check_regular(path)
    digests: dict[str, str] = {}
    for number, line in enumerate(path.read_text("utf-8", errors="replace").removesuffix("\n").split("\n"), 1):
        digest, name = _parsed(line, f"{path}, line {number}")
        if name in digests:
            raise StoreError(f"names {name} twice", where=f"{path}, line {number}", remedy=_REMEDY)
        digests[name] = digest
    return digests


def verify_checksums(folder: Path, names: Iterable[str]) -> None:
    """Compare files of a version with their checksums.

    Raises:
        StoreError: A file is missing, is no regular file or is not the one that was written; the file is named.
    """
    recorded = read_checksums(folder)
    for name in names:
        path = folder / name
        check_regular(path)
        if name not in recorded:
            raise StoreError(f"{CHECKSUMS} does not name {name}", where=str(folder), remedy=_REMEDY)
        found = _digest(path)
        if found != recorded[name]:
            raise StoreError(
                f"damaged: its checksum is {found[:12]}..., {CHECKSUMS} says {recorded[name][:12]}...",
                where=str(path),
                remedy=_REMEDY,
            )


def check_names(folder: Path, names: Iterable[str]) -> None:
    """Compare what a version should have with what its folder and its checksums have.

    Raises:
        StoreError: There is a file too many or too few.
    """
    expected = set(names)
    found = {
        "the folder": {entry.name for entry in folder.iterdir()} - {CHECKSUMS},
        CHECKSUMS: set(read_checksums(folder)),
    }
    for holder, there in found.items():
        for name in sorted(expected - there):
            raise StoreError(f"{holder} has no {name}, which the manifest names", where=str(folder), remedy=_REMEDY)
        for name in sorted(there - expected):
            raise StoreError(
                f"{holder} has {name!r}, which is no file of the manifest",
                where=str(folder),
                remedy=f"Remove it if you know it. {_REMEDY}",
            )


def check_regular(path: Path) -> None:
    """Refuse anything but a regular file.

    Raises:
        StoreError: It is missing, a symbolic link, a folder or a device.
    """
    if path.is_symlink():
        raise StoreError("is a symbolic link, which could lead anywhere", where=str(path), remedy=_REMEDY)
    if not path.exists():
        raise StoreError("the file is missing", where=str(path), remedy=_REMEDY)
    if not path.is_file():
        raise StoreError("is not a regular file", where=str(path), remedy=_REMEDY)


def _parsed(line: str, where: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise StoreError("is not a SHA-256 digest, two spaces and a name", where=where, remedy=_REMEDY)
    try:
        return match[1], plain_name(match[2])
    except ValueError as error:
        raise StoreError(str(error), where=where, remedy=_REMEDY) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
