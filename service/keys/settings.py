"""The settings of `cosup keys`."""

from pathlib import Path

from pydantic import Field

from semiparametric.settings import Settings
from service.keys.key import IndexScope, KeyName


class KeyFileSettings(Settings):
    """A file of keys."""

    keys: Path = Field(description="File of the keys.")


class RevokeKeySettings(KeyFileSettings):
    """A key in it."""

    name: KeyName = Field(description="Name of the key.")


class CreateKeySettings(RevokeKeySettings):
    """A new key and what it may do."""

    indexes: IndexScope = Field(
        description="An index that it may read, by the name it is served under; repeat it. '*' for all."
    )
    admin: bool = Field(default=False, description="Whether it may reload indexes and read the metrics.")
    requests_per_minute: int | None = Field(
        default=None, ge=1, description="Requests that it may begin in a minute; any number if none."
    )
    concurrent_requests: int | None = Field(
        default=None, ge=1, description="Requests that it may have in flight; any number if none."
    )
