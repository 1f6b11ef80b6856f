"""The records of a source file, whatever its JSON looks like, streamed and with a name for error messages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from semiparametric.errors import InputError
from semiparametric.json_values import json_values

Model = TypeVar("Model", bound=BaseModel)


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
    for where, value in json_values(path, key):
        yield where, checked(value, model, where)


def checked(value: Any, model: type[Model], where: str) -> Model:
    """A parsed value as a record of the model; InputError names the first wrong field and the rule it breaks."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(first["msg"], where=f"{where}, field {field}" if field else where) from error
