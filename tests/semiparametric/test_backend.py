"""Results of lookups as arrays: the best of them, in one order."""

import numpy as np

from semiparametric.store.backend import Nearest, best_of, merged, nothing


def found(scores: list[list[float]], rows: list[list[int]]) -> Nearest:
    return Nearest(np.array(scores, np.float32), np.array(rows, np.int64))


def as_lists(nearest: Nearest) -> list[list[tuple[int, float]]]:
    return [
        list(zip(rows, scores, strict=True))
        for rows, scores in zip(nearest.rows.tolist(), nearest.scores.tolist(), strict=True)
    ]


def test_the_best_of_each_query_come_first_and_the_lower_row_among_equals() -> None:
    some = found([[0.5, 0.75, 0.5, 0.25], [0.0, -1.0, -np.inf, 2.0]], [[7, 3, 2, 9], [4, 5, -1, 6]])
    assert as_lists(best_of(some.scores, some.rows, 3)) == [
        [(3, 0.75), (2, 0.5), (7, 0.5)],
        [(6, 2.0), (4, 0.0), (5, -1.0)],
    ]


def test_all_are_given_where_there_are_fewer_than_asked_for_and_what_is_missing_comes_last() -> None:
    some = found([[-np.inf, 0.5]], [[-1, 8]])
    best = best_of(some.scores, some.rows, 10)
    assert as_lists(best) == [[(8, 0.5), (-1, -np.inf)]]
    assert not best.is_full
    assert best_of(some.scores, some.rows, 1).is_full


def test_what_a_sort_of_every_pair_finds_is_found() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(0, 9, (20, 50)).astype(np.float32)  # many equal ones
    rows = np.stack([random.permutation(50) for _ in range(20)])
    expected = [
        sorted(zip(line, numbers, strict=True), key=lambda each: (-each[0], each[1]))[:7]
        for line, numbers in zip(scores.tolist(), rows.tolist(), strict=True)
    ]
    best = as_lists(best_of(scores, rows, 7))
    assert [[(score, row) for row, score in line] for line in best] == expected


def test_results_are_merged_over_parts_that_found_different_numbers() -> None:
    left, right = found([[0.5, 0.25], [0.5, 0.125]], [[0, 1], [1, 0]]), found([[0.75], [0.5]], [[5], [0]])
    assert as_lists(merged([left, nothing(2), right], 2)) == [[(5, 0.75), (0, 0.5)], [(0, 0.5), (1, 0.5)]]


def test_nothing_merged_is_nothing() -> None:
    assert as_lists(merged([nothing(2)], 5)) == [[], []]
    assert as_lists(merged([nothing(0)], 5)) == []
