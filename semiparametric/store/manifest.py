"""`manifest.json`: what a version holds and how it was made."""

from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from semiparametric.errors import StoreError
from semiparametric.store.layout import MANIFEST


class CorpusSummary(BaseModel):
    """What went into a version's `passages.arrow`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    count: int = Field(ge=1, description="Passages.")
    digest: str = Field(description="SHA-256 over all passages in order; equal digests mean equal passages.")
    metadata_fields: list[str] = Field(description="Metadata fields that occur, sorted; a filter may name these.")


class IndexSummary(BaseModel):
    """What went into a version's `index.faiss`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: int = Field(ge=1, description="Length of a sequence embedding.")
    index_type: str = Field(description="How lookups search: `flat` is exact, `hnsw` a graph.")
    index_parameters: dict[str, int] = Field(description="The type's own numbers.")
    recall_at_10: float = Field(ge=0, le=1, description="Share of the ten nearest that a lookup finds, on a sample.")
    recall_queries: str = Field(description="What that sample was.")


class BuildRecord(BaseModel):
    """How a version was made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sources: list[str] = Field(description="Files and folders that the passages were read from.")
    settings: dict[str, Any] = Field(description="The build's settings, defaults included.")
    libraries: dict[str, str] = Field(description="Versions of the libraries that made the vectors and the index.")
    started: datetime = Field(description="Begin of the build (of its last run, where it was resumed), UTC.")
    finished: datetime = Field(description="End of the build, UTC.")


class Manifest(BaseModel):
    """The contents of `manifest.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    name: str = Field(description="The index's name.")
    version: int = Field(ge=1, description="The version's number within its index.")
    fingerprint: str = Field(description="Fingerprint of the pair whose Embseq made the vectors.")
    corpus: CorpusSummary
    index: IndexSummary
    build: BuildRecord


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a version's manifest."""
    (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", "utf-8")


def read_manifest(folder: Path) -> Manifest:
    """Read a version's manifest.

    Raises:
        StoreError: It is missing, damaged or of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise StoreError("not a store version: there is no manifest.json", where=str(folder))
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise StoreError(first["msg"], where=f"{path}, field {field}", remedy="Build the index again") from error
