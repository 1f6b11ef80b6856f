"""`auto` and the settings of an index: which type is chosen at which bounds, and what the reason says."""

import pytest

from index_builder.auto_type import COMPARED, LINKED
from index_builder.index_settings import IndexSettings
from semiparametric.errors import InputError

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("count", "dimension", "budget", "chosen"),
    [
        (1, 4096, None, "flat"),
        (COMPARED // 256, 256, None, "flat"),
        (COMPARED // 256 + 1, 256, None, "hnsw"),
        (LINKED, 384, None, "hnsw"),
        (LINKED + 1, 384, None, "ivf-flat"),
        (MILLION, 384, 1.7, "hnsw"),
        (MILLION, 384, 1.6, "ivf-flat"),
        (MILLION, 384, 1.4, "ivf-sq8"),
        (MILLION, 384, 0.36, "ivf-pq"),
        (10_000, 256, 0.001, "ivf-pq"),
        (200, 256, 0.00001, "flat"),
    ],
)
def test_auto_prefers_exact_then_fast_then_small(count: int, dimension: int, budget: float | None, chosen: str) -> None:
    settings = IndexSettings(memory_budget=budget)
    assert settings.index_plan(count, dimension).index_type == chosen


@pytest.mark.parametrize(("budget", "code"), [(0.19, 192), (0.15, 128), (0.1, 96), (0.05, 32), (0.001, 12)])
def test_auto_takes_the_longest_codes_that_fit(budget: float, code: int) -> None:
    plan = IndexSettings(memory_budget=budget).index_plan(MILLION, 384)
    assert plan.index_parameters["pq_m"] == code


def test_the_reason_says_what_was_weighed() -> None:
    plan = IndexSettings(memory_budget=1.0).index_plan(MILLION, 384)
    assert plan.reason == (
        "1000000 vectors of 384 dimensions, a memory budget of 1 GiB: ivf-sq8 takes 0.37 GiB, the most exact that fits "
        "(hnsw takes 1.68 GiB, ivf-flat takes 1.44 GiB)"
    )


def test_a_budget_that_nothing_meets_is_said_in_the_reason() -> None:
    reason = str(IndexSettings(memory_budget=0.0001).index_plan(MILLION, 384).reason)
    assert "the smallest, though it exceeds the budget: choose a greater one, fewer dimensions or a factory" in reason


def test_a_type_that_a_user_named_needs_no_reason() -> None:
    plan = IndexSettings(index_type="hnsw", memory_budget=0.0001).index_plan(100, 8)
    assert (plan.index_type, plan.reason) == ("hnsw", None)


def test_numbers_that_a_user_set_hold_for_what_auto_chooses() -> None:
    settings = IndexSettings(hnsw_m=48, hnsw_ef_search=77, target_recall=0.9, keep_vectors=False, shards=2)
    plan = settings.index_plan(MILLION, 384)
    assert plan.index_parameters == {"hnsw_m": 48, "hnsw_ef_construction": 200, "hnsw_ef_search": 77}
    assert (plan.target_recall, plan.keep_vectors, plan.shards) == (0.9, False, 2)


def test_a_setting_that_cannot_be_built_is_refused_before_anything_is_encoded() -> None:
    settings = IndexSettings(index_type="ivf-pq", pq_m=100)
    with pytest.raises(InputError, match=r"pq_m is 100, which does not divide the dimension, 384. Choose one of 1, 2,"):
        settings.index_plan(MILLION, 384)
