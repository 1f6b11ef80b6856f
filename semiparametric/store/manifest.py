"""`manifest.json`: what a version holds and how it was made."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from semiparametric.errors import StoreError
from semiparametric.store.index_summary import IndexSummary
from semiparametric.store.layout import DELETED, MANIFEST, PASSAGES, VECTORS

_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class CorpusSummary(BaseModel):
    """What passages a version has."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(ge=1, description="Passages that a lookup may give; those deleted since are not among them.")
    digest: str = Field(
        description="SHA-256 over all passages in order, or over the digests of what an extension was made from; "
        "equal digests mean equal passages."
    )
    metadata_fields: list[str] = Field(description="Metadata fields that occur, sorted; a filter may name these.")


class BuildRecord(BaseModel):
    """How a version was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: list[str] = Field(description="Files and folders that the passages were read from.")
    settings: dict[str, Any] = Field(description="The build's settings, defaults included.")
    libraries: dict[str, str] = Field(description="Versions of the libraries that made the vectors and the index.")
    started: datetime = Field(description="Begin of the build (of its last run, where it was resumed), UTC.")
    finished: datetime = Field(description="End of the build, UTC.")
    upserted: list[str] = Field(default_factory=list, description="Ids that upserts put in; a rebuild keeps them.")
    deleted: list[str] = Field(default_factory=list, description="Ids that were deleted; a rebuild leaves them out.")


class PassageFile(BaseModel):
    """One file of passages. Rows are numbered through all of a version's files."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(description="The file's name within the version's folder.")
    count: int = Field(ge=1, description="Its rows, deleted ones included.")

    @field_validator("file")
    @classmethod
    def _file_is_plain(cls, name: str) -> str:
        return plain_name(name)


class VectorPart(BaseModel):
    """One part of the vectors. Rows are numbered through all of a version's parts, as through its passage files.

    A part is either a file in the version's folder or a collection in a vector database.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(ge=1, description="Its rows, deleted ones included.")
    file: str | None = Field(default=None, description="The name of its FAISS index within the version's folder.")
    exact: str | None = Field(default=None, description="The file of the vectors as encoded, where `file` loses some.")
    delta: bool = Field(default=False, description="Holds what was added after the build, in a flat index.")
    uri: str | None = Field(default=None, description="Where the vector database is.")
    collection: str | None = Field(default=None, description="The collection there.")

    @field_validator("file", "exact")
    @classmethod
    def _files_are_plain(cls, name: str | None) -> str | None:
        return name if name is None else plain_name(name)

    @model_validator(mode="after")
    def _file_or_collection(self) -> Self:
        if (self.file is None) == (self.collection is None):
            raise ValueError("a part has a file or a collection, and not both")
        return self


class Manifest(BaseModel):
    """The contents of `manifest.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1, 2] = 2
    name: str = Field(description="The index's name.")
    version: int = Field(ge=1, description="The version's number within its index.")
    fingerprint: str = Field(description="Fingerprint of the pair whose Embseq made the vectors.")
    store: Literal["faiss", "milvus"] = Field(default="faiss", description="What holds the vectors of the build.")
    corpus: CorpusSummary
    passage_files: list[PassageFile] = Field(min_length=1, description="The files of passages, in the order of rows.")
    parts: list[VectorPart] = Field(min_length=1, description="The parts of the vectors, in the order of rows.")
    deleted: int = Field(default=0, ge=0, description="Rows that no lookup gives any more; `deleted.npy` lists them.")
    base: int | None = Field(default=None, description="The version that this one extends; none for a whole build.")
    index: IndexSummary
    build: BuildRecord

    @model_validator(mode="before")
    @classmethod
    def _format_1_has_one_file_of_each(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("format_version") != 1 or not isinstance(data.get("corpus"), dict):
            return data
        count = data["corpus"].get("count")
        only = {"passage_files": [{"file": PASSAGES, "count": count}], "parts": [{"file": VECTORS, "count": count}]}
        return data | only

    @model_validator(mode="after")
    def _rows_add_up(self) -> Self:
        rows = {
            "passage_files": sum(file.count for file in self.passage_files),
            "parts": sum(part.count for part in self.parts),
            "corpus.count and deleted": self.corpus.count + self.deleted,
        }
        if len(set(rows.values())) > 1:
            raise ValueError(f"the numbers of rows differ: {rows}")
        return self

    @property
    def rows(self) -> int:
        """All rows, deleted ones included."""
        return self.corpus.count + self.deleted

    def files(self) -> list[str]:
        """The names of the version's data files."""
        return sorted(self._files())

    def _files(self) -> Iterator[str]:
        yield from (file.file for file in self.passage_files)
        for part in self.parts:
            yield from (name for name in (part.file, part.exact) if name is not None)
        if self.deleted:
            yield DELETED


def plain_name(name: str) -> str:
    """The name of a file directly within a folder; ValueError for anything that could lead out of it."""
    if not _PLAIN_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the plain name of a file in the version's folder")
    return name


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a version's manifest."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read a version's manifest.

    Raises:
        StoreError: It is missing, damaged or of another format.
    """
    path = folder / MANIFEST
    if path.is_symlink():
        raise StoreError("is a symbolic link, which could lead anywhere", where=str(path), remedy="Put the file there")
    if not path.is_file():
        raise StoreError("not a store version: there is no manifest.json", where=str(folder))
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        where = f"{path}, field {field}" if field else str(path)
        raise StoreError(first["msg"], where=where, remedy="Build the index again") from error
