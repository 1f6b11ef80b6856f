"""What to build: an index type with all its numbers, for so many vectors of such a dimension."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Self

import faiss

from semiparametric.errors import InputError
from semiparametric.store.index_structure import bytes_per_vector, holds_vectors, search_setting
from semiparametric.store.index_types import Parameters, index_type

TRAINING_VECTORS = 262_144
"""Vectors that an index type is trained on, at most."""


@dataclass(frozen=True)
class IndexPlan:
    """How the vectors of one version are to be indexed; checked, so that what it names can be built.

    `index_parameters` lacks the number that trades time for recall (`search_setting`) where the build is to choose it.
    """

    index_type: str
    """A name in `INDEX_TYPES`."""

    index_parameters: Parameters
    """All numbers of the type, but perhaps the search setting."""

    dimension: int
    """Length of a vector."""

    shards: int = 1
    """Parts that the vectors are cut into, in stretches of rows that differ by one row at most."""

    target_recall: float = 0.95
    """Recall@10 that the search setting is chosen for."""

    keep_vectors: bool = True
    """Whether the vectors themselves are kept beside parts that lose some of them."""

    training_vectors: int = TRAINING_VECTORS
    """Vectors of a part that it is trained on, at most."""

    on_gpu: bool = False
    """Whether to train and fill on the GPU where faiss sees one. Its bytes may differ from run to run."""

    reason: str | None = None
    """Why `auto` chose this type; None where a user did."""

    @classmethod
    def checked(
        cls,
        name: str,
        given: Mapping[str, int | str | None],
        *,
        count: int,
        dimension: int,
        shards: int = 1,
        **more: object,
    ) -> Self:
        """A plan with the numbers that were given, and the others by count and dimension.

        Args:
            name: A name in `INDEX_TYPES`.
            given: Numbers of index types by name, None for those to be derived; those of other types are passed over.
            count: Vectors of the version.
            dimension: Length of a vector.
            shards: Parts to cut them into.
            more: The other fields of a plan.

        Raises:
            InputError: Such an index cannot be built; the message says what can.
        """
        if not 1 <= shards <= count:
            raise InputError(
                f"{count} vectors cannot be cut into {shards} shards", remedy=f"Choose from 1 to {count} shards"
            )
        numbers = index_type(name).resolve(count // shards, dimension, given)
        return cls(name, numbers, dimension, shards, **more)  # type: ignore[arg-type]

    @classmethod
    def flat(cls, dimension: int) -> Self:
        """An exact index, of any number of vectors."""
        return cls("flat", {}, dimension)

    def create(self) -> faiss.Index:
        """An empty index of the type."""
        return index_type(self.index_type).create(self.dimension, self.index_parameters)

    @cached_property
    def search_setting(self) -> str | None:
        """The name of the number that trades time for recall; None for a type that compares with every vector."""
        return search_setting(self.create())

    @cached_property
    def lossy(self) -> bool:
        """Whether the index holds the vectors only approximately."""
        return not holds_vectors(self.create())

    @cached_property
    def bytes_per_vector(self) -> float:
        """What each vector adds to the file of the index."""
        return bytes_per_vector(self.create())

    def part_rows(self, count: int) -> list[range]:
        """The rows of each shard, for so many vectors."""
        bounds = [number * count // self.shards for number in range(self.shards + 1)]
        return [range(start, stop) for start, stop in pairwise(bounds)]
