"""The settings of `cosup index build`."""

from pathlib import Path

from pydantic import Field

from index_builder.encoding_settings import EncodingSettings
from index_builder.index_settings import IndexSettings
from index_builder.reading_settings import ReadingSettings
from index_builder.store_settings import StoreSettings


class BuildSettings(ReadingSettings, EncodingSettings, IndexSettings, StoreSettings):
    """Settings of one build."""

    pair: Path = Field(description="Folder of the pair whose Embseq encodes the passages.")
    out: Path = Field(description="Folder of the index; each build adds a version to it.")
    name: str | None = Field(default=None, min_length=1, description="Name of the index; that of its folder if none.")
