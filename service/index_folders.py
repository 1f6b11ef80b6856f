"""Which folders a service serves as indexes, and under which names: the value of the setting `index`."""

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from semiparametric.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_RULE = "a name is 1 to 64 of the characters A-Z a-z 0-9 . _ - and begins with a letter or a digit"


@dataclass(frozen=True)
class IndexFolder:
    """An index to serve.

    folder: where it lies.
    name: what requests call it; None takes the index's own name.
    """

    folder: Path
    name: str | None = None


def _read(value: Any) -> Any:
    """`NAME=FOLDER` or `FOLDER` as text; a path is a folder whatever it holds."""
    if isinstance(value, Path):
        return IndexFolder(value)
    if not isinstance(value, str):
        return value
    name, separator, folder = value.partition("=")
    if not separator:
        name, folder = "", value
    elif not is_name(name):
        raise ValueError(f"{name!r} is no name for an index: {NAME_RULE}. Write NAME=FOLDER")
    if not folder:
        raise ValueError("the folder is empty. Write NAME=FOLDER, or the folder alone")
    return IndexFolder(Path(folder), name or None)


def _listed(value: Any) -> Any:
    """One folder is a list of one; an environment variable may hold a JSON list of several."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(
                f'a list of folders is written as JSON, as in ["python=build/python"] ({error})'
            ) from error
    return [value] if isinstance(value, str | Path | IndexFolder) else value


IndexFolders = Annotated[
    tuple[Annotated[IndexFolder, BeforeValidator(_read)], ...],
    NoDecode,  # an environment variable with one folder is no JSON
    BeforeValidator(_listed),
]


def is_name(name: str) -> bool:
    """Whether an index may be served under this name: it stands in paths, logs, metrics and key files."""
    return _NAME.fullmatch(name) is not None


def served_name(index: IndexFolder, own_name: str) -> str:
    """The name that an index is served under.

    Raises:
        InputError: It has none but its own, which would not do.
    """
    if index.name is None and not is_name(own_name):
        raise InputError(
            f"its own name {own_name!r} cannot be served: {NAME_RULE}",
            where=str(index.folder),
            remedy="Give it another with --index NAME=FOLDER",
        )
    return index.name or own_name


def refuse_doubles(names: Iterable[str]) -> None:
    """Refuse two indexes under one name.

    Raises:
        InputError: Names them.
    """
    doubles = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubles:
        raise InputError(
            f"more than one index is called {', '.join(doubles)}",
            where="index",
            remedy="Give each its own name with --index NAME=FOLDER",
        )
