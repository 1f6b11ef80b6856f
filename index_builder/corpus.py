"""A corpus as a stream of passages, whatever it is stored in."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from index_builder.readers import DOCUMENT_READERS
from index_builder.splitting import split_section
from semiparametric.errors import InputError
from semiparametric.formats import Passage, read_passages

logger = logging.getLogger(__name__)

_PASSAGE_FILES = (".jsonl", ".jsonl.gz")
_NAMED = 5  # files that one warning names


def read_corpus(path: Path, *, passage_words: int) -> Iterator[Passage]:
    """Stream the passages of a corpus: a `.jsonl[.gz]` file, a document, or a folder of documents (in sorted order).

    Documents are split into passages `<relative path>#<n>`, titled by their headings. Hidden files are passed over, and
    files of other types too, with a warning that names them.

    Args:
        path: The file or folder.
        passage_words: Words of a passage of a document at most.

    Raises:
        InputError: The path does not exist, is of an unknown type, holds no document, or a file cannot be read as text.
    """
    if path.is_dir():
        return _read_folder(path, passage_words)
    if not path.exists():
        raise InputError("no such file or folder", where=str(path))
    if path.name.endswith(_PASSAGE_FILES):
        return _read_passages(path)
    if path.suffix.lower() in DOCUMENT_READERS:
        return _read_document(path, path.name, passage_words)
    raise InputError(f"files of type {path.suffix!r} cannot be read", where=str(path), remedy=_known_types())


def _read_passages(path: Path) -> Iterator[Passage]:
    try:
        yield from read_passages(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error


def _read_folder(folder: Path, passage_words: int) -> Iterator[Passage]:
    documents: list[str] = []
    others: list[str] = []
    for name in _files(folder):
        (documents if Path(name).suffix.lower() in DOCUMENT_READERS else others).append(name)
    if not documents:
        types = sorted({Path(name).suffix or name for name in others})
        found = f"it holds only files of type {', '.join(types[:_NAMED])}" if types else "it is empty"
        raise InputError(f"no document to read: {found}", where=str(folder), remedy=_known_types())
    if others:
        named = ", ".join(others[:_NAMED]) + (", ..." if len(others) > _NAMED else "")
        logger.warning("%s: %d files of unknown type are left out: %s", folder, len(others), named)
    for name in documents:
        yield from _read_document(folder / name, name, passage_words)


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


def _read_document(path: Path, name: str, passage_words: int) -> Iterator[Passage]:
    sections = DOCUMENT_READERS[path.suffix.lower()](_text(path, name), path.stem)
    number = 0
    for section in sections:
        for text in split_section(section, passage_words):
            number += 1
            yield Passage(id=f"{name}#{number}", title=section.title, text=text, source=name, metadata={"file": name})


def _text(path: Path, name: str) -> str:
    """A document's text, its line ends unified, without a byte order mark."""
    try:
        name.encode()
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except UnicodeEncodeError as error:
        raise InputError(f"the file name {name!r} is not UTF-8", where=str(path.parent), remedy="Rename it") from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start} ({error.object[error.start]:#04x}) is not UTF-8",
            where=str(path),
            remedy="Save the file as UTF-8 or take it out of the folder",
        ) from error
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
    if "\0" in text:
        raise InputError("is a binary file, not text", where=str(path), remedy="Take it out of the folder")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _known_types() -> str:
    known = ", ".join([*_PASSAGE_FILES, *DOCUMENT_READERS])
    return f"Give a file of type {known} or a folder of documents"
