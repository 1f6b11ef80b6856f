"""Where things lie in an index's folder: `versions/<n>/` with four files each, and `CURRENT`, which names one."""

from pathlib import Path

from semiparametric.errors import StoreError

VECTORS = "index.faiss"
PASSAGES = "passages.arrow"
DELETED = "deleted.npy"
MANIFEST = "manifest.json"
CHECKSUMS = "SHA256SUMS"
FILES = (VECTORS, PASSAGES, MANIFEST)  # those that SHA256SUMS covers

CURRENT = "CURRENT"
_VERSIONS = "versions"
_PARTIAL = ".partial"


def version_folder(index: Path, version: int) -> Path:
    """The folder of a published version."""
    return index / _VERSIONS / str(version)


def partial_folder(index: Path, version: int) -> Path:
    """The folder that a version is written in until it is whole."""
    return index / _VERSIONS / f"{version}{_PARTIAL}"


def versions(index: Path) -> list[int]:
    """The whole versions of an index, oldest first; empty for a folder that holds none."""
    folder = index / _VERSIONS
    if not folder.is_dir():
        return []
    return sorted(int(entry.name) for entry in folder.iterdir() if entry.name.isdecimal() and entry.is_dir())


def current_version(index: Path) -> int | None:
    """The served version, or None where nothing was published yet.

    Raises:
        StoreError: `CURRENT` does not hold a number.
    """
    path = index / CURRENT
    if not path.is_file():
        return None
    text = path.read_text("utf-8", errors="replace").strip()
    if not text.isdecimal():
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
