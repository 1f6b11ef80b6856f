"""An API key as it is kept: its hash, never itself, and what it may do."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from service.index_folders import NAME_RULE, is_name

ALL = "*"
"""Stands in `indexes` for every index, those served later included."""

_PREFIX = "cosup_"  # so that scanners for leaked secrets can know one
_RANDOM_BYTES = 32


def _named(name: str) -> str:
    if not is_name(name):
        raise ValueError(NAME_RULE)
    return name


def _index_or_all(name: str) -> str:
    return name if name == ALL else _named(name)


def _all_stands_alone(indexes: list[str]) -> list[str]:
    if ALL in indexes and len(indexes) > 1:
        raise ValueError(f"{ALL!r} means all indexes, so it stands alone")
    return indexes


KeyName = Annotated[str, AfterValidator(_named)]
IndexScope = Annotated[
    list[Annotated[str, AfterValidator(_index_or_all)]], Field(min_length=1), AfterValidator(_all_stands_alone)
]


@dataclass(frozen=True)
class Access:
    """What a request may do.

    key: name of the key that it came with; None where the service is open.
    indexes: names of the indexes that it may read; None for all.
    is_admin: whether it may do what changes or tells of the service as a whole.
    """

    key: str | None
    indexes: frozenset[str] | None
    is_admin: bool

    def may_read(self, index: str) -> bool:
        """Whether an index exists for this request."""
        return self.indexes is None or index in self.indexes


EVERYBODY = Access(key=None, indexes=None, is_admin=True)
"""What everybody may do where the service has no keys."""

NOBODY = Access(key=None, indexes=frozenset(), is_admin=False)
"""What may be done without a key where the service has some."""


class Key(BaseModel):
    """One key in the file of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: KeyName = Field(description="Who or what it was made for; stands in logs.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$", repr=False, description="SHA-256 of the key, in hexadecimal.")
    indexes: IndexScope = Field(description='Indexes that it may read; ["*"] for all.')
    admin: bool = Field(description="Whether it may reload indexes and read the metrics.")
    requests_per_minute: int | None = Field(ge=1, description="Requests that it may begin in a minute; None: any.")
    concurrent_requests: int | None = Field(ge=1, description="Requests that it may have in flight; None: any.")
    created: datetime = Field(description="When it was made, UTC.")

    @property
    def access(self) -> Access:
        """What it may do."""
        return Access(self.name, None if ALL in self.indexes else frozenset(self.indexes), self.admin)


def new_secret() -> SecretStr:
    """A key of 256 random bits. It is so long that a plain hash keeps it: there are no likely ones to try."""
    return SecretStr(_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES))


def hash_of(secret: str) -> str:
    """How a key is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def find(keys: Iterable[Key], secret: str) -> Key | None:
    """The key with this secret. It takes as long whichever it is and whether there is one."""
    digest, found = hash_of(secret), None
    for key in keys:
        if hmac.compare_digest(key.sha256, digest):
            found = key
    return found
