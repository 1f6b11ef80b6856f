"""The records of a source file, whatever its JSON looks like, streamed and with a name for error messages."""

import gzip
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from semiparametric.errors import InputError
from semiparametric.formats import numbered_lines

Model = TypeVar("Model", bound=BaseModel)

_CHUNK = 1 << 20
_TAIL = 16  # characters at the end of what was read in which a broken-off literal or escape may look like a mistake


class SourceRecord(BaseModel):
    """Base of what a converter reads: unknown fields are passed over, numbers may stand where a name is wanted."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, frozen=True)


def read_records(path: Path, model: type[Model], *, key: str | None = None) -> Iterator[tuple[str, Model]]:
    """Stream the records of a JSON array or of JSON lines, `.gz` or not, each with its place in words.

    Args:
        path: The file.
        model: What a record is.
        key: For files that are one object: the field that holds the array.

    Raises:
        InputError: The file cannot be read, is not such JSON, or a record breaks the model's rules; file, record and
            field are named.
    """
    for where, value in _values(path, key):
        yield where, checked(value, model, where)


def checked(value: Any, model: type[Model], where: str) -> Model:
    """A parsed value as a record of the model; InputError names the first wrong field and the rule it breaks."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(first["msg"], where=f"{where}, field {field}" if field else where) from error


def _values(path: Path, key: str | None) -> Iterator[tuple[str, Any]]:
    with _opened(path) as file:
        first = _JsonText(file, str(path)).peek()
    if first == "[" or (first == "{" and key is not None):
        with _opened(path) as file:
            for number, value in enumerate(_array(_JsonText(file, str(path)), key), start=1):
                yield f"{path}, record {number}", value
        return
    for number, line in numbered_lines(path):
        try:
            yield f"{path}, line {number}", json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"not JSON ({error.msg}, column {error.colno})",
                where=f"{path}, line {number}",
                remedy="The file holds either one object on each line or one array of objects",
            ) from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    if not path.is_file():
        raise InputError("no such file", where=str(path))
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8-sig")
            if path.suffix == ".gz"
            else path.open(encoding="utf-8-sig") as file
        ):
            yield file
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8", where=str(path), remedy="Save the file as UTF-8") from error
    except PermissionError as error:
        raise InputError("may not be read", where=str(path), remedy="Give read permission") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"not a whole gzip file ({error})", where=str(path)) from error


class _JsonText:
    """A JSON text that is read only as far as needed."""

    def __init__(self, file: IO[str], where: str) -> None:
        self._file = file
        self.where = where
        self._buffer = ""
        self._at = 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is not white space, without taking it; empty at the end."""
        while True:
            while self._at < len(self._buffer):
                if not self._buffer[self._at].isspace():
                    return self._buffer[self._at]
                self._at += 1
            if not self._more():
                return ""

    def take(self, expected: str) -> str:
        """The next character, which must be one of those expected."""
        found = self.peek()
        if not found or found not in expected:
            said = repr(found) if found else "the end of the file"
            raise InputError(f"not JSON: {said} stands where one of {expected!r} belongs", where=self.where)
        self._at += 1
        return found

    def value(self, what: str) -> Any:
        """The next value, which `what` names in an error."""
        self.peek()
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._buffer, self._at)
            except json.JSONDecodeError as error:
                unfinished = error.msg.startswith("Unterminated") or error.pos >= len(self._buffer) - _TAIL
                if not (unfinished and self._more()):
                    raise InputError(f"not JSON ({error.msg})", where=f"{self.where}, {what}") from error
            else:
                return value

    def _more(self) -> bool:
        """Read on, the more the longer the value that is unfinished, so that long records take linear time."""
        read = self._file.read(max(_CHUNK, len(self._buffer) - self._at))
        self._buffer = self._buffer[self._at :] + read
        self._at = 0
        return bool(read)


def _array(text: _JsonText, key: str | None) -> Iterator[Any]:
    if text.peek() == "{":
        _go_to(text, str(key))
    text.take("[")
    if text.peek() == "]":
        return
    number = 1
    while True:
        yield text.value(f"record {number}")
        number += 1
        if text.take(",]") == "]":
            return


def _go_to(text: _JsonText, key: str) -> None:
    """Pass over an object's fields up to the value of `key`."""
    end = text.take("{")
    while end != "}":
        if text.peek() == "}":
            break
        name = text.value("the top level")
        text.take(":")
        if name == key:
            return
        text.value(f"field {name}")
        end = text.take(",}")
    raise InputError(
        f"the file's object has no field {key!r}", where=text.where, remedy=f"It should hold an array {key!r}"
    )
