"""Lookups that arrive together are searched together: while one search runs, the next one's queries gather."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import CosupError
from semiparametric.formats import Passage
from service.decoding.lookup import Found, PassageStore


@dataclass(eq=False)
class _Wanted:
    """A search that waits; `found` is what another thread has found for it."""

    queries: NDArray[np.float32]
    top_k: int
    found: Sequence[Sequence[Found]] | None = None


class SearchedTogether:
    """A store as lookups see it, searched by one thread at a time for all that wait.

    Nobody waits for company: a query that comes alone is searched at once. Only searches for equally many rows are
    joined, since the number can change what an approximate index finds; so a lookup finds the same alone and in a
    crowd. Searches among candidate rows are made on their own.

    Args:
        store: What is searched.
    """

    def __init__(self, store: PassageStore) -> None:
        self._store = store
        self._waiting: list[_Wanted] = []
        self._gathering = threading.Lock()
        self._searching = threading.Lock()

    @property
    def dimension(self) -> int:
        """Length of the store's vectors."""
        return self._store.dimension

    def passage(self, row: int) -> Passage:
        """The passage of a row."""
        return self._store.passage(row)

    def search(
        self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None
    ) -> Sequence[Sequence[Found]]:
        """The nearest rows of each query `float32[n, d]`, best first; errors as the store's."""
        if rows is not None:
            return self._store.search(queries, top_k, rows=rows)
        wanted = _Wanted(queries, top_k)
        with self._gathering:
            self._waiting.append(wanted)
        with self._searching:
            if wanted.found is None:
                wanted.found = self._search_with(wanted)
        return wanted.found

    def _search_with(self, first: _Wanted) -> Sequence[Sequence[Found]]:
        """Search for `first` and for all that wait and ask for as many rows."""
        with self._gathering:
            others = [each for each in self._waiting if each is not first and each.top_k == first.top_k]
            self._waiting = [each for each in self._waiting if each is not first and each.top_k != first.top_k]
        if others:
            joined = [first, *others]
            try:
                found = self._store.search(np.concatenate([each.queries for each in joined]), first.top_k)
            except (CosupError, ValueError):  # of one query: now each searches for itself, and that one has the error
                return self._store.search(first.queries, first.top_k)
            ends = np.cumsum([len(each.queries) for each in joined]).tolist()
            for each, end in zip(joined, ends, strict=True):
                each.found = found[end - len(each.queries) : end]
            return found[: ends[0]]
        return self._store.search(first.queries, first.top_k)
