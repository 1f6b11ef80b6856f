"""Text files, compressed or not, as a stream of bytes or of lines, with errors that name the file and the line."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from semiparametric.errors import InputError

COMPRESSIONS = (".gz", ".zst")

_LONGEST_LINE = 1 << 26  # bytes: what is longer is no line of text but a binary file, and is not taken into memory
_BUFFER = 1 << 18
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@contextmanager
def opened(path: Path, *, after: Callable[[], str] = str) -> Iterator[io.BufferedReader]:
    """A file's bytes, decompressed by its suffix.

    Args:
        path: A plain, `.gz` or `.zst` file.
        after: Says where in the file one is, for errors in the middle of it.

    Raises:
        InputError: The file is missing, may not be read, or is not whole.
    """
    place = str(path)
    if path.is_dir():
        remedy = "Name a file; `cosup corpus documents --documents FOLDER --out FILE` makes one of a folder"
        raise InputError("is a folder, and a file is read here", where=place, remedy=remedy)
    if not path.is_file():
        raise InputError("no such file", where=place)
    try:
        with _decompressed(path) as file:
            yield file
    except PermissionError as error:
        raise InputError("may not be read", where=place, remedy="Give read permission") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"not a whole gzip file ({error})", where=f"{place}{after()}") from error
    except OSError as error:
        if path.suffix == ".zst" and error.errno is None:  # pyarrow's, of the data and not of the disk
            raise InputError(f"not a whole zstd file ({error})", where=f"{place}{after()}") from error
        raise InputError(f"cannot be read ({error.strerror or error})", where=place) from error


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Stream the lines of a text file with their numbers from 1; blank ones are left out.

    Raises:
        InputError: As `opened`, or the file is binary.
    """
    number = 0
    with opened(path, after=lambda: f", after line {number}") as file:
        if b"\0" in file.peek(1)[:4096]:
            raise InputError("is a binary file, not UTF-8 text", where=str(path), remedy="Check the file's type")
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise InputError(
                    f"the line is longer than {_LONGEST_LINE >> 20} MiB",
                    where=f"{path}, line {number}",
                    remedy="One record stands on each line",
                )
            if number == 1:
                line = line.removeprefix(_BYTE_ORDER_MARK)  # some editors put one first
            if not line.isspace() and line:
                yield number, line


def decoded(line: bytes, where: str) -> str:
    """A line as text.

    Raises:
        InputError: It is not UTF-8.
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start} of the line ({line[error.start]:#04x}) is not UTF-8",
            where=where,
            remedy="Save the file as UTF-8",
        ) from error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Stream the lines of a UTF-8 file, decompressed by suffix, with their numbers from 1; blank ones are left out.

    Raises:
        InputError: The file is missing, may not be read, is not UTF-8 or not whole.
    """
    for number, line in raw_lines(path):
        yield number, decoded(line, f"{path}, line {number}")


def _decompressed(path: Path) -> io.BufferedReader:
    if path.suffix == ".gz":
        return io.BufferedReader(cast("io.RawIOBase", gzip.open(path, "rb")), _BUFFER)
    if path.suffix == ".zst":
        import pyarrow as pa  # a tenth of a second that only those wait for who read such a file

        return io.BufferedReader(cast("io.RawIOBase", pa.input_stream(str(path), compression="zstd")), _BUFFER)
    return cast("io.BufferedReader", path.open("rb", buffering=_BUFFER))
