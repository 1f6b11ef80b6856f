"""Metrics of rankings on cases worked by hand from KILT's definitions."""

import pytest

from evaluation.metrics.ranking import distinct, r_precision, recall_at, reciprocal_rank, success_at


def test_repeated_pages_are_dropped_before_ranks_are_counted() -> None:
    assert distinct(["1", "1", "3", "2"]) == ["1", "3", "2"]
    assert r_precision(distinct(["1", "1", "3", "2"]), [{"1", "2"}]) == 0.5


def test_success_is_a_name_of_any_set_among_the_first() -> None:
    assert success_at(2, ["x", "b"], [{"a"}, {"b", "c"}])
    assert not success_at(1, ["x", "b"], [{"a"}, {"b", "c"}])
    assert not success_at(5, [], [{"a"}])


def test_reciprocal_rank_is_that_of_the_first_name() -> None:
    assert reciprocal_rank(["x", "y", "b", "a"], [{"a"}, {"b"}]) == pytest.approx(1 / 3)
    assert reciprocal_rank(["x"], [{"a"}]) == 0.0


@pytest.mark.parametrize(
    ("ranking", "evidence", "share"),
    [
        (["a", "b"], [{"a"}], 1.0),
        (["b", "a"], [{"a"}], 0.0),  # only as many ranks count as the set has names
        (["a", "x", "b"], [{"a", "b"}], 0.5),
        (["a", "x"], [{"y", "z"}, {"a"}], 1.0),  # the best set counts
        (["a"], [set()], 0.0),
        ([], [{"a"}], 0.0),
    ],
)
def test_r_precision_is_the_share_of_a_set_among_as_many_ranks(
    ranking: list[str], evidence: list[set[str]], share: float
) -> None:
    assert r_precision(ranking, evidence) == share


@pytest.mark.parametrize(
    ("k", "ranking", "evidence", "share"),
    [
        (2, ["x", "a", "b"], [{"a"}, {"b"}], 0.5),
        (3, ["x", "a", "b"], [{"a"}, {"b"}], 1.0),
        (1, ["a", "b"], [{"a", "b"}], 1.0),  # two names of one set are one point: the place of "a" is given up
        (2, ["a", "x", "b"], [{"a", "b"}], 1.0),  # points are x and the set, which is complete at the second
        (1, ["a", "x", "b"], [{"a", "b"}], 0.0),
        (5, ["a"], [{"a", "b"}], 0.0),  # half a set is none
        (5, ["a"], [{"a"}, {"a"}], 1.0),  # equal sets count once
        (5, ["a"], [{"a"}, set()], 0.5),  # an empty set is never complete
        (1, ["a"], [{"a"}, {"a", "b"}], 0.5),  # one name moves two sets on
        (3, ["a", "x", "b"], [{"a"}, {"a", "b"}], 1.0),  # points: complete, x, complete
        (2, ["a", "x", "b"], [{"a"}, {"a", "b"}], 0.5),
        (5, ["a"], [], 0.0),
    ],
)
def test_recall_counts_complete_sets_among_the_first_rank_points(
    k: int, ranking: list[str], evidence: list[set[str]], share: float
) -> None:
    assert recall_at(k, ranking, evidence) == share
