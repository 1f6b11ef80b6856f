"""The files that a corpus consists of, found by path and format."""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from index_builder.readers import DOCUMENT_READERS
from index_builder.readers.formats import RECORD_FORMATS, beir_corpus, format_of, known_types
from index_builder.reading_settings import Format
from semiparametric.errors import InputError

logger = logging.getLogger(__name__)

_NAMED = 5  # files that one warning names


@dataclass(frozen=True)
class Source:
    """One file.

    Attributes:
        path: Where it is.
        name: What it is called in ids: its path below the folder that was given, or its name.
        format: What it holds: `documents`, or the name of a record format.
    """

    path: Path
    name: str
    format: str


def find_sources(paths: Sequence[Path], form: Format = "auto", *, warn: bool = True) -> list[Source]:
    """The files of a corpus in the order they are read: that of the paths, and sorted within a folder.

    Args:
        paths: Files and folders.
        form: What the files hold; `auto` tells it for each path.
        warn: Whether to say which files of a folder of documents are left out.

    Raises:
        InputError: A path does not exist, is of an unknown type, or is a folder that holds nothing of the format.
    """
    sources = []
    for path in paths:
        if path.is_dir():
            sources += _folder_sources(path, form, warn=warn)
        elif not path.exists():
            raise InputError("no such file or folder", where=str(path))
        else:
            sources.append(Source(path, path.name, _file_format(path, form)))
    return sources


def _file_format(path: Path, form: Format) -> str:
    if form == "documents" and path.suffix.lower() not in DOCUMENT_READERS:
        raise InputError(
            f"documents of type {path.suffix!r} cannot be read",
            where=str(path),
            remedy=f"Give one of type {', '.join(DOCUMENT_READERS)}, or another --format",
        )
    return format_of(path) if form == "auto" else form


def _folder_sources(folder: Path, form: Format, *, warn: bool) -> list[Source]:
    beir = beir_corpus(folder)
    if form == "beir" and beir is None:
        raise InputError("there is no corpus.jsonl", where=str(folder), remedy="Give the folder of a BEIR set")
    if beir and (form == "beir" or (form == "auto" and format_of(beir) == "beir")):
        return [Source(beir, beir.name, "beir")]
    if form in ("auto", "documents"):
        return _documents(folder, warn=warn)
    found = [name for name in _files(folder) if RECORD_FORMATS[form].is_name(name)]
    if not found:
        wanted = ", ".join(RECORD_FORMATS[form].suffixes)
        raise InputError(f"no file of type {wanted} to read as {form}", where=str(folder), remedy=known_types())
    return [Source(folder / name, name, form) for name in found]


def _documents(folder: Path, *, warn: bool) -> list[Source]:
    documents: list[str] = []
    others: list[str] = []
    for name in _files(folder):
        (documents if Path(name).suffix.lower() in DOCUMENT_READERS else others).append(name)
    if not documents:
        types = sorted({Path(name).suffix or name for name in others})
        found = f"it holds only files of type {', '.join(types[:_NAMED])}" if types else "it is empty"
        remedy = f"{known_types()}, or name the --format of the files in it"
        raise InputError(f"no document to read: {found}", where=str(folder), remedy=remedy)
    if others and warn:
        named = ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
        logger.warning("%s: %d files of unknown type are left out: %s", folder, len(others), named)
    return [Source(folder / name, name, "documents") for name in documents]


def _files(folder: Path) -> list[str]:
    """Relative paths of the files below a folder, sorted, hidden ones and hidden folders left out."""
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        relative = Path(place).relative_to(folder)
        found += [(relative / name).as_posix() for name in files if not name.startswith(".")]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise InputError(f"cannot be read ({error.strerror})", where=str(error.filename)) from error
