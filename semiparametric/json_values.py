"""JSON files of any size, value by value: one array of values, or one value on each line."""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from semiparametric.errors import InputError
from semiparametric.json_size import check_values
from semiparametric.lines import decoded, opened, raw_lines

_CHUNK = 1 << 20
_LARGEST_CHUNK = 1 << 24  # so much of a value may be parsed before its values are counted
_LONGEST_VALUE = 1 << 26  # characters: what is longer is no record, and is not taken into memory
_TAIL = 16  # characters at the end of what was read in which a broken-off literal or escape may look like a mistake


def json_values(path: Path, key: str | None = None) -> Iterator[tuple[str, Any]]:
    """Stream the values of a JSON array or of JSON lines, compressed or not, each with its place in words.

    Args:
        path: The file.
        key: For files that are one object: the field that holds the array.

    Raises:
        InputError: The file cannot be read, or is not such JSON.
    """
    if first_character(path) in (("[",) if key is None else ("[", "{")):
        for number, value in enumerate(array_values(path, key), start=1):
            yield f"{path}, record {number}", value
        return
    for number, line in raw_lines(path):
        where = f"{path}, line {number}"
        yield where, line_value(line, where)


def line_value(line: bytes, where: str) -> Any:
    """The value that stands on a line; InputError where it is not JSON, or holds too many values."""
    text = decoded(line, where)
    check_values(text, where)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"not JSON ({error.msg}, column {error.colno})",
            where=where,
            remedy="The file holds either one object on each line or one array of objects",
        ) from error
    except RecursionError as error:
        raise InputError("nested too deeply to be read", where=where) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise InputError(f"not JSON ({error})", where=where) from error


def first_character(path: Path) -> str:
    """The first character of a file that is not white space; empty where there is none."""
    with opened(path) as file:
        return _JsonText(file, str(path)).peek()


def array_values(path: Path, key: str | None = None) -> Iterator[Any]:
    """The values of a JSON array, or of the array in the field `key` of an object."""
    with opened(path) as file:
        text = _JsonText(file, str(path))
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


class _JsonText:
    """A JSON text that is read only as far as needed."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file = file
        self.where = where
        self._buffer = ""
        self._at = 0
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
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
                if unfinished and len(self._buffer) - self._at > _LONGEST_VALUE:
                    raise InputError(
                        f"the value is longer than {_LONGEST_VALUE >> 20} million characters",
                        where=f"{self.where}, {what}",
                        remedy="The file holds either one object on each line or one array of objects",
                    ) from error
                if unfinished:
                    check_values(self._buffer, f"{self.where}, {what}", self._at)
                if not (unfinished and self._more()):
                    raise InputError(f"not JSON ({error.msg})", where=f"{self.where}, {what}") from error
            except RecursionError as error:
                raise InputError("nested too deeply to be read", where=f"{self.where}, {what}") from error
            except ValueError as error:  # a number of more digits than Python reads
                raise InputError(f"not JSON ({error})", where=f"{self.where}, {what}") from error
            else:
                return value

    def _more(self) -> bool:
        """Read on, the more the longer the value that is unfinished, so that long records take linear time."""
        data = self._file.read(min(max(_CHUNK, len(self._buffer) - self._at), _LARGEST_CHUNK))
        try:
            read = self._decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise InputError("not UTF-8", where=self.where, remedy="Save the file as UTF-8") from error
        self._buffer = self._buffer[self._at :] + read
        self._at = 0
        return bool(data)


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
