"""Documents that are text files."""

from collections.abc import Callable
from pathlib import Path

from index_builder.documents import Section
from semiparametric.errors import InputError

LARGEST_DOCUMENT = 1 << 26  # bytes: documents are taken into memory one by one


def of_text(read: Callable[[str, str], list[Section]]) -> Callable[[Path], list[Section]]:
    """A reader of files from one of `(text, name)`."""
    return lambda path: read(document_text(path), path.stem)


def document_text(path: Path) -> str:
    """A document's text, its line ends unified, without a byte order mark.

    Raises:
        InputError: The file is too large, cannot be read or is not UTF-8 text.
    """
    data = document_bytes(path)
    if b"\0" in data:
        raise InputError("is a binary file, not UTF-8 text", where=str(path), remedy="Take it out of the folder")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start} ({error.object[error.start]:#04x}) is not UTF-8",
            where=str(path),
            remedy="Save the file as UTF-8 or take it out of the folder",
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def document_bytes(path: Path) -> bytes:
    """A document's bytes.

    Raises:
        InputError: The file is too large or cannot be read.
    """
    try:
        if path.stat().st_size > LARGEST_DOCUMENT:
            raise InputError(
                f"the document is larger than {LARGEST_DOCUMENT >> 20} MiB",
                where=str(path),
                remedy="Split it into several files",
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path)) from error
