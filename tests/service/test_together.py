"""Lookups that arrive together: one search for all of them, with the results that each would have alone."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from semiparametric.errors import InputError
from semiparametric.formats import Passage
from semiparametric.store import Hit, Store
from service.decoding.together import SearchedTogether
from tests.small_index import build_small_index


class Watched:
    """A store that notes its searches and holds the first one up until it is let go."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.dimension = store.dimension
        self.searches: list[tuple[int, int]] = []  # queries and top_k of each
        self.has_begun = threading.Event()
        self.may_end = threading.Event()

    def search(
        self, queries: NDArray[np.float32], top_k: int, *, rows: NDArray[np.int64] | None = None
    ) -> Sequence[Sequence[Hit]]:
        self.searches.append((len(queries), top_k))
        self.has_begun.set()
        assert self.may_end.wait(30)
        return self.store.search(queries, top_k, rows=rows)

    def passage(self, row: int) -> Passage:
        return self.store.passage(row)


@pytest.fixture
def store(tiny_pair: Path, tmp_path: Path) -> Store:
    return Store.open(build_small_index(tiny_pair, tmp_path / "index"))


def queries_of(store: Store, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((count, store.dimension), dtype=np.float32)


def search_at_once(watched: Watched, wanted: Sequence[tuple[NDArray[np.float32], int]]) -> list[object]:
    """The first search alone; the others arrive while it runs. Their results or errors, in order."""
    together = SearchedTogether(watched)
    with ThreadPoolExecutor(len(wanted)) as pool:
        futures = [pool.submit(together.search, *wanted[0])]
        assert watched.has_begun.wait(30)
        futures += [pool.submit(together.search, *each) for each in wanted[1:]]
        while len(together._waiting) < len(wanted) - 1:
            pass
        watched.may_end.set()
        return [future.exception() or future.result() for future in futures]


def test_what_arrives_while_a_search_runs_is_searched_in_one_go_and_found_as_if_alone(store: Store) -> None:
    watched = Watched(store)
    queries = queries_of(store, 7)
    found = search_at_once(watched, [(query[None, :], 2) for query in queries])
    assert watched.searches == [(1, 2), (6, 2)]
    assert found == [store.search(query[None, :], 2) for query in queries]


def test_searches_for_another_number_of_rows_are_not_joined(store: Store) -> None:
    watched = Watched(store)
    queries = queries_of(store, 5)
    found = search_at_once(watched, [(query[None, :], 1 + index % 2) for index, query in enumerate(queries)])
    assert sorted(watched.searches) == [(1, 1), (2, 1), (2, 2)]
    assert found == [store.search(query[None, :], 1 + index % 2) for index, query in enumerate(queries)]


def test_a_query_that_is_refused_leaves_the_others_their_results(store: Store) -> None:
    queries = queries_of(store, 4)
    queries[2] = np.nan
    found = search_at_once(Watched(store), [(query[None, :], 1) for query in queries])
    assert isinstance(found[2], InputError)
    for index in (0, 1, 3):
        assert found[index] == store.search(queries[index][None, :], 1)


def test_a_search_among_candidates_waits_for_nobody(store: Store) -> None:
    together = SearchedTogether(store)
    (query,) = queries_of(store, 1)
    assert together.search(query[None, :], 4, rows=np.array([1, 3])) == store.search(
        query[None, :], 4, rows=np.array([1, 3])
    )
