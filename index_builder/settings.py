"""The settings of the commands that write an index."""

from pathlib import Path

from pydantic import Field

from index_builder.encoding_settings import EncodingSettings
from index_builder.index_settings import IndexSettings
from index_builder.reading_settings import Paths, ReadingSettings
from index_builder.running_settings import RunningSettings
from index_builder.store_settings import StoreSettings
from semiparametric.settings import Settings


class BuildSettings(ReadingSettings, EncodingSettings, IndexSettings, StoreSettings):
    """Settings of one build: all that what is written depends on."""

    pair: Path = Field(description="Folder of the pair whose Embseq encodes the passages.")
    out: Path = Field(description="Folder of the index; each build adds a version to it.")
    name: str | None = Field(default=None, min_length=1, description="Name of the index; that of its folder if none.")


class BuildCommandSettings(BuildSettings, RunningSettings):
    """Settings of `cosup index build`."""


class _RecordedSettings(Settings):
    """What every command has that goes on with the recorded settings of a build."""

    index: Path = Field(description="Folder of the index.")
    pair: Path | None = Field(default=None, description="Folder of the pair; the one of the build if none.")
    device: str | None = Field(default=None, description="Where Embseq runs; as in the build if none.")


class RebuildSettings(_RecordedSettings, RunningSettings):
    """Settings of `cosup index rebuild`."""

    corpus: Paths = Field(
        default_factory=list, description="Files and folders to read in place of the recorded ones; repeatable."
    )
    sources_only: bool = Field(
        default=False, description="Undo upserts and deletions: hold what the sources hold and nothing else."
    )


class UpsertSettings(_RecordedSettings, RunningSettings):
    """Settings of `cosup index upsert`."""

    corpus: Paths = Field(
        min_length=1, description="Files and folders with the passages to put in, read with the build's settings."
    )


class DeleteSettings(RunningSettings):
    """Settings of `cosup index delete`."""

    index: Path = Field(description="Folder of the index.")
    id_: list[str] = Field(default_factory=list, description="Id of a passage to delete; repeatable.")
    ids_from: Path | None = Field(default=None, description="File with one id per line.")
