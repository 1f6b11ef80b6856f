"""The next version from the served one without building it again: passages added, replaced and deleted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from semiparametric.formats import Passage
from semiparametric.store.index_summary import IndexSummary
from semiparametric.store.manifest import BuildRecord, Manifest
from semiparametric.store.reader import Store


class Extension:
    """Writes the next version as the served one, less some passages, plus some; the caller holds `build_lock(index)`.

    The files of the served version are hard-linked, so it costs time and disk for what changes only. It is a context
    manager, as the store is.

    Attributes:
        base: The served version, open.

    Raises:
        StoreError: Nothing is served, or it is damaged.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        self.base = Store.open(index)

    def publish(
        self,
        *,
        added: Sequence[Passage],
        vectors: NDArray[np.float32],
        deleted_ids: Sequence[str],
        build: BuildRecord,
        index: IndexSummary | None = None,
    ) -> Manifest:
        """Write the version, verify it by reopening, and make it the served one.

        Args:
            added: New passages; one whose id the served version has replaces that one.
            vectors: Their sequence embeddings, `float32[len(added), d]`.
            deleted_ids: Passages to leave out.
            build: How the version was made.
            index: What the manifest says of the index where that changes (another search setting); the base's if None.

        Raises:
            InputError: An id stands twice, one to delete is unknown, nothing would be left, or the vectors do not fit.
            StoreError: What was written does not read back whole, or the disk is full. The served version is untouched.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the served version's files."""
        self.base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
