"""The file of keys: JSON that `cosup keys` writes and a running service reads again when it changes."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, model_validator

from semiparametric.errors import InputError
from service.keys.key import Key, hash_of, new_secret


class KeyFile(BaseModel):
    """The contents of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    keys: list[Key] = []

    @model_validator(mode="after")
    def _all_different(self) -> Self:
        for field in ("name", "sha256"):
            if len({getattr(key, field) for key in self.keys}) < len(self.keys):
                raise ValueError(f"two keys have the same {field}")
        return self


def read_keys(path: Path) -> list[Key]:
    """The keys of a file.

    Raises:
        InputError: It is missing, cannot be read, or is no file of keys.
    """
    try:
        return KeyFile.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError as error:
        remedy = f"Make one with `cosup keys create NAME --keys {path}`"
        raise InputError("there is no file of keys", where=str(path), remedy=remedy) from error
    except OSError as error:
        raise InputError(f"the file of keys cannot be read ({error.strerror})", where=str(path)) from error
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"is no file of keys: {place or 'it'}: {problem['msg']}", where=str(path)) from error


def create_key(
    path: Path,
    name: str,
    indexes: Sequence[str],
    *,
    admin: bool = False,
    requests_per_minute: int | None = None,
    concurrent_requests: int | None = None,
) -> SecretStr:
    """Add a key to a file, which is made if it is missing, and return it: it cannot be had again.

    Raises:
        InputError: There is a key of this name, a value is wrong, or the file cannot be read or written.
    """
    secret = new_secret()
    key = Key(
        name=name,
        sha256=hash_of(secret.get_secret_value()),
        indexes=list(indexes),
        admin=admin,
        requests_per_minute=requests_per_minute,
        concurrent_requests=concurrent_requests,
        created=datetime.now(UTC),
    )
    with _changing(path) as keys:
        if any(other.name == name for other in keys):
            remedy = f"Choose another name, or revoke it first with `cosup keys revoke {name} --keys {path}`"
            raise InputError(f"there is a key {name!r} already", where=str(path), remedy=remedy)
        keys.append(key)
    return secret


def revoke_key(path: Path, name: str) -> None:
    """Take a key out of a file.

    Raises:
        InputError: There is no key of this name, or the file cannot be read or written.
    """
    with _changing(path) as keys:
        left = [key for key in keys if key.name != name]
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys) or "none"
            raise InputError(f"there is no key {name!r}", where=str(path), remedy=f"There are: {known}")
        keys[:] = left


@contextmanager
def _changing(path: Path) -> Iterator[list[Key]]:
    """The keys, which the block may change, written back at its end; others who change them wait."""
    path = path.resolve()  # what a link points to is written, not the link
    try:
        with path.with_name(f".{path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = read_keys(path) if path.exists() else []
            yield keys
            _write(path, KeyFile(keys=keys))
    except OSError as error:
        raise InputError(f"the file of keys cannot be written ({error.strerror})", where=str(path)) from error


def _write(path: Path, contents: KeyFile) -> None:
    """By one rename, so that a service never reads half of it. A new file is its owner's alone."""
    mode = path.stat().st_mode if path.exists() else 0o600
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        new = Path(file.name)
        try:
            file.write(contents.model_dump_json(indent=2) + "\n")
            file.flush()
            os.fchmod(file.fileno(), mode & 0o777)
            os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
