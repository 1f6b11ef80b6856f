"""What `index.py` searches: clustered vectors that a seed makes, and stores of them made by the project's writer."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from semiparametric.formats import Passage
from semiparametric.store import BuildRecord, IndexSummary, Store, VersionWriter
from semiparametric.store.index_plan import IndexPlan

SEED = 20
BLOCK = 16_384  # vectors made, written and read at once
VECTORS_OF_A_CLUSTER = 250
SPREAD = 0.8  # length of a vector's way from the centre of its cluster, the centre's own being 1
DECAY = 0.5  # of the spread along the dimensions in turn, as a power: text embeddings are not round either


class Mixture:
    """Clusters of unequal size on the unit sphere, each stretched along some dimensions more than along others."""

    def __init__(self, count: int, dimension: int) -> None:
        random = np.random.default_rng(SEED)
        clusters = max(4, count // VECTORS_OF_A_CLUSTER)
        centres = random.standard_normal((clusters, dimension), np.float32)
        self._centres = centres / np.linalg.norm(centres, axis=1, keepdims=True)
        scales = random.permutation(np.arange(1, dimension + 1, dtype=np.float32) ** -np.float32(DECAY))
        self._scales = scales * np.float32(SPREAD) / np.linalg.norm(scales)
        shares = random.gamma(2.0, size=clusters)
        self._shares = shares / shares.sum()

    def draw(self, count: int, seed: int) -> NDArray[np.float32]:
        """Vectors of length 1, `float32[count, d]`."""
        random = np.random.default_rng([SEED, seed])
        centres = self._centres[random.choice(len(self._centres), count, p=self._shares)]
        vectors = centres + self._scales * random.standard_normal(centres.shape, np.float32)
        of_length_1: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return of_length_1


class Blocks:
    """The vectors in a file, in blocks; read anew each time."""

    def __init__(self, path: Path) -> None:
        self.vectors: NDArray[np.float32] = np.load(path, mmap_mode="r").view(np.ndarray)

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self.vectors), BLOCK):
            yield self.vectors[start : start + BLOCK]


@dataclass(frozen=True)
class Scene:
    """Vectors to index, and queries of the same kind that are not among them."""

    folder: Path
    blocks: Blocks
    queries: NDArray[np.float32]


@dataclass(frozen=True)
class Built:
    """A published store of the scene's vectors.

    folder: Of the index.
    index: What its manifest says of the vectors.
    count: Vectors.
    seconds: What training, filling, measuring the recall and choosing the search setting took together.
    file_bytes: Of all files that hold vectors, those kept beside a lossy index included.
    """

    folder: Path
    index: IndexSummary
    count: int
    seconds: float
    file_bytes: int

    def opened(self) -> Store:
        """The store."""
        return Store.open(self.folder, check=False)  # written and compared by this process


def make_scene(folder: Path, count: int, dimension: int, queries: int) -> Scene:
    """Write the vectors into a file in the folder."""
    path = folder / "made.npy"
    mixture = Mixture(count, dimension)
    vectors = np.lib.format.open_memmap(path, "w+", np.float32, (count, dimension))
    for number, start in enumerate(range(0, count, BLOCK)):
        block = vectors[start : start + BLOCK]
        block[:] = mixture.draw(len(block), number + 1)
    vectors.flush()
    return Scene(folder, Blocks(path), mixture.draw(queries, 0))


def build(scene: Scene, index_type: str, training_vectors: int) -> Built:
    """Publish a store with an index of this type; what the type's numbers are is left to the project."""
    count, dimension = scene.blocks.vectors.shape
    plan = IndexPlan.checked(index_type, {}, count=count, dimension=dimension, training_vectors=training_vectors)
    writer = VersionWriter(scene.folder / index_type)
    corpus = writer.write_passages(Passage(id=str(row), text=f"Line {row}.") for row in range(count))
    now = datetime.now(UTC)
    started = perf_counter()
    index = writer.write_vectors(scene.blocks, plan)
    seconds = perf_counter() - started
    record = BuildRecord(sources=["synthetic"], settings={}, libraries={}, started=now, finished=datetime.now(UTC))
    manifest = writer.publish(name=index_type, fingerprint="synthetic", corpus=corpus, index=index, build=record)
    version = writer.index / "versions" / str(manifest.version)
    names = [name for part in manifest.parts for name in (part.file, part.exact) if name]
    return Built(writer.index, index, count, seconds, sum((version / name).stat().st_size for name in names))
