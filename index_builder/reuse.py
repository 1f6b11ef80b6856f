"""The vectors of a rebuild: those that the served version has, and beside them the ones that were computed."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from index_builder.content import ContentDigests
from index_builder.order import Order
from semiparametric.formats import Passage
from semiparametric.spec import PassageForm
from semiparametric.store import Store

_ROWS_AT_ONCE = 4096


class ReusedVectors:
    """Blocks `float32[n, d]` in the order of the passages; iterate as often as needed while `base` is open.

    Args:
        base: The served version.
        rows: For each passage the row of `base` whose vector it takes, or -1 for the next one of `encoded`.
        encoded: The vectors of the others, in order, in blocks; iterable as often as this.
    """

    def __init__(self, base: Store, rows: NDArray[np.int64], encoded: Iterable[NDArray[np.float32]]) -> None:
        self._base = base
        self._rows = rows
        self._encoded = encoded

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        fresh = _one_by_one(self._encoded)
        for start in range(0, len(self._rows), _ROWS_AT_ONCE):
            rows = self._rows[start : start + _ROWS_AT_ONCE]
            vectors = np.empty((len(rows), self._base.dimension), np.float32)
            reused = rows >= 0
            if reused.any():
                vectors[reused] = self._base.vectors(rows[reused])
            for place in np.flatnonzero(~reused):
                vectors[place] = next(fresh)
            yield vectors


def _one_by_one(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    for block in blocks:
        yield from block


def live_digests(base: Store, form: PassageForm) -> ContentDigests:
    """Digests of the passages that lookups in a version may give, in the order of its live rows."""
    digests = ContentDigests(form)
    digests.take(live_passages(base))
    return digests


def live_passages(base: Store) -> Iterator[Passage]:
    """The passages that lookups in a version may give, in the order of its live rows."""
    for start in range(0, base.manifest.rows, _ROWS_AT_ONCE):
        stored = base.passages(start, min(start + _ROWS_AT_ONCE, base.manifest.rows))
        yield from (one.passage for one in stored if one.live)


def reason_against_reuse(base: Store, order: Order) -> str | None:
    """Why the vectors of a version are of no use to a build; None where they are."""
    if base.manifest.fingerprint != order.spec.fingerprint:
        return f"the pair has changed from {base.manifest.fingerprint!r} to {order.spec.fingerprint!r}"
    if base.dimension != order.dimension:
        return f"the dimension has changed from {base.dimension} to {order.dimension}"
    if not base.keeps_vectors:
        return f"the {base.manifest.index.index_type} index did not keep its vectors (keep_vectors)"
    return None
