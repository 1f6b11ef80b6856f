"""The records of a source file, whatever its JSON looks like, streamed and with a name for error messages."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from semiparametric.formats import SourceRecord, checked
from semiparametric.json_values import json_values

__all__ = ["SourceRecord", "checked", "read_records"]

Model = TypeVar("Model", bound=BaseModel)


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
    for where, value in json_values(path, key):
        yield where, checked(value, model, where)
