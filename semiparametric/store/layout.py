"""Where things lie in an index's folder: `versions/<n>/` with its files each, and `CURRENT`, which names one."""

import re
from pathlib import Path

from semiparametric.errors import StoreError

VECTORS = "index.faiss"
PASSAGES = "passages.arrow"
DELETED = "deleted.npy"
MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
DELTA_VECTORS = "index-delta.faiss"
DELTA_PASSAGES = "passages-1.arrow"

CURRENT = "CURRENT"
_VERSIONS = "versions"
_PARTIAL = ".partial"
_LONGEST_CURRENT = 64  # characters that are read of it
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")  # more digits are no version that anyone has built


def version_folder(index: Path, version: int) -> Path:
    """The folder of a published version."""
    return index / _VERSIONS / str(version)


def partial_folder(index: Path, version: int) -> Path:
    """The folder that a version is written in until it is whole."""
    return index / _VERSIONS / f"{version}{_PARTIAL}"


def extension_folder(index: Path, version: int) -> Path:
    """The folder that an extension is written in: another one, so that a killed build can go on after it."""
    return index / _VERSIONS / f"{version}.extension{_PARTIAL}"


def removal_folder(index: Path, version: int) -> Path:
    """What a version is renamed to before its files go one by one: it is whole or not there."""
    return index / _VERSIONS / f"{version}.removal{_PARTIAL}"


def partial_folders(index: Path) -> list[Path]:
    """All that builds, extensions and removals left unfinished, sorted by name."""
    return sorted((index / _VERSIONS).glob(f"*{_PARTIAL}"))


def killed_builds(index: Path) -> list[int]:
    """The versions whose builds are unfinished, ascending."""
    names = [folder.name.removesuffix(_PARTIAL) for folder in partial_folders(index)]
    return sorted(int(name) for name in names if _NUMBER.fullmatch(name))


def killed_extensions(index: Path) -> list[Path]:
    """The folders of extensions that are unfinished."""
    return [folder for folder in partial_folders(index) if folder.name.endswith(f".extension{_PARTIAL}")]


def versions(index: Path) -> list[int]:
    """The whole versions of an index, oldest first; empty for a folder that holds none."""
    folder = index / _VERSIONS
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if _NUMBER.fullmatch(entry.name) and entry.is_dir())


def next_version(index: Path) -> int:
    """The number of the version to be written next."""
    return max([0, current_version(index) or 0, *versions(index)]) + 1


def current_version(index: Path) -> int | None:
    """The served version, or None where nothing was published yet.

    Raises:
        StoreError: `CURRENT` does not hold a number.
    """
    path = index / CURRENT
    if not path.is_file():
        return None
    if path.is_symlink():
        raise StoreError("is a symbolic link, which could lead anywhere", where=str(path), remedy="Put the file there")
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_LONGEST_CURRENT).removesuffix("\n")
    if not _NUMBER.fullmatch(text):
        raise StoreError(
            f"CURRENT holds {text!r}, not the number of a version",
            where=str(path),
            remedy=f"Write one of {versions(index)} into it, or build again",
        )
    return int(text)


def served_version(index: Path) -> int:
    """The served version.

    Raises:
        StoreError: Nothing is published here, or `CURRENT` names a version that is not there.
    """
    version = current_version(index)
    if version is None:
        raise StoreError(
            "no index is published here",
            where=str(index),
            remedy=f"Build one with `cosup index build --pair PAIR --corpus CORPUS --out {index}`",
        )
    if not version_folder(index, version).is_dir():
        raise StoreError(
            f"CURRENT names version {version}, but the folder holds {versions(index)}",
            where=str(index),
            remedy="Put the version back or build again",
        )
    return version
