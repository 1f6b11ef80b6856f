"""Vectors on the way: one file per stretch of passages, so that a killed build goes on where it stopped."""

import io
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

logger = logging.getLogger(__name__)

_RECORD = "progress.json"
_FOLDER = "shards"


class ShardInputs(BaseModel):
    """All that the bytes of the shards depend on. Shards of other inputs are never used."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus_digest: str = Field(description="Digest of all passages in order.")
    fingerprint: str = Field(description="Fingerprint of the pair.")
    count: int = Field(description="Passages.")
    dimension: int = Field(description="Length of a vector.")
    shard_passages: int = Field(description="Passages of a shard.")
    batch_tokens: int = Field(description="Tokens encoded at once: another batch rounds otherwise in the last bits.")
    device: str = Field(description="The kind of device that Embseq runs on, and the number of its threads on a CPU.")
    dtype: str = Field(description="What Embseq computes in.")
    libraries: dict[str, str] = Field(description="Versions of the libraries that compute the vectors.")


class Shards:
    """The vectors of a build as blocks `float32[n, d]` in the order of the passages; iterate as often as needed.

    Shards that an unfinished build left in the folder are kept if its inputs were the same, else removed.
    """

    def __init__(self, version_folder: Path, inputs: ShardInputs) -> None:
        self._inputs = inputs
        self._record = version_folder / _RECORD
        self._folder = version_folder / _FOLDER
        differing = self._differing()
        if differing is not None:
            if differing:
                logger.warning("an unfinished build had another %s: starting afresh", ", ".join(differing))
            self._start_afresh()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for number in range(len(self)):
            yield np.load(self._path(number), mmap_mode="r")

    def __len__(self) -> int:
        return -(-self._inputs.count // self._inputs.shard_passages)

    def missing(self) -> list[int]:
        """Numbers of the shards that are still to be made."""
        return [number for number in range(len(self)) if not self._path(number).is_file()]

    def rows(self, number: int) -> range:
        """The rows of a shard's passages."""
        start = number * self._inputs.shard_passages
        return range(start, min(start + self._inputs.shard_passages, self._inputs.count))

    def write(self, number: int, vectors: NDArray[np.float32]) -> None:
        """Keep a shard; its file appears whole or not at all."""
        data = io.BytesIO()  # where numpy itself writes to a full disk, its error does not say so
        np.save(data, vectors)
        _write_whole(self._path(number), data.getbuffer())

    def log(self, name: str) -> Path:
        """Where a process that makes shards may write what it has to say; gone when the version is whole."""
        return self._folder / f"{name}.log"

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.npy"

    def _differing(self) -> list[str] | None:
        """Names of the inputs in which the unfinished build differs; None if it does not, [] if there is none."""
        if not self._record.is_file():
            return []
        try:
            recorded = ShardInputs.model_validate_json(self._record.read_bytes())
        except ValidationError:
            return ["record of its progress"]
        return [name for name, value in self._inputs if value != getattr(recorded, name)] or None

    def _start_afresh(self) -> None:
        self._record.unlink(missing_ok=True)  # first, so that no moment has new inputs beside old shards
        if self._folder.exists():
            shutil.rmtree(self._folder)
        self._folder.mkdir()
        _write_whole(self._record, self._inputs.model_dump_json(indent=2).encode() + b"\n")


def _write_whole(path: Path, data: bytes | memoryview) -> None:
    """Write a file so that neither a kill nor a loss of power leaves a part of it under its name."""
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
