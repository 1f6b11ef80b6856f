"""Recall against effort: what is measured is true, and the cheapest setting that suffices is the one chosen."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from semiparametric.store.backend import Nearest
from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_summary import IndexSummary, Measured
from semiparametric.store.recall import draw_sample, true_scores
from semiparametric.store.tradeoff import choose, efforts, summarise
from tests.semiparametric.vector_parts import DIMENSION, built, clustered_vectors, in_blocks, nearest_rows, overlap

COUNT = 1500
VECTORS = clustered_vectors(COUNT)


def plan_of(kind: str, given: Mapping[str, int | str | None], shards: int = 1) -> IndexPlan:
    return IndexPlan.checked(kind, given, count=COUNT, dimension=DIMENSION, shards=shards)


def summary_of(folder: Path, plan: IndexPlan) -> IndexSummary:
    part = built(folder, VECTORS, plan, keep_vectors=plan.keep_vectors)
    size = (folder / "index.faiss").stat().st_size
    return summarise([part], in_blocks(VECTORS), plan, bytes_written=size)


def measured(value: int, recall_at_10: float) -> Measured:
    return Measured(value=value, recall_at_1=1.0, recall_at_10=recall_at_10, recall_at_100=1.0)


def test_the_first_setting_that_reaches_the_target_is_chosen() -> None:
    sweep = [measured(1, 0.7), measured(2, 0.96), measured(4, 0.95), measured(8, 0.99)]
    assert choose(sweep, 0.95).value == 2
    assert choose(sweep, 0.97).value == 8
    assert choose(sweep, 0.5).value == 1


def test_the_first_of_the_best_is_chosen_where_none_reaches_the_target() -> None:
    assert choose([measured(1, 0.7), measured(2, 0.9), measured(4, 0.9)], 0.95).value == 2


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("hnsw", {"hnsw_m": 4, "hnsw_ef_construction": 20}),
        ("ivf-flat", {}),
        ("ivf-sq8", {}),
        ("factory", {"factory": "HNSW4,SQ8"}),
        ("factory", {"factory": "RR16,IVF38,PQ8x6,RFlat", "rescore": 8}),
    ],
)
def test_a_build_serves_with_the_cheapest_setting_of_its_sweep_that_suffices(
    kind: str, given: Mapping[str, int | str | None], tmp_path: Path
) -> None:
    plan = replace(plan_of(kind, given), target_recall=0.9)
    summary = summary_of(tmp_path, plan)
    assert summary.search_setting is not None
    value = summary.index_parameters[summary.search_setting]
    cheaper = [entry for entry in summary.sweep if entry.value is not None and entry.value < int(value)]
    chosen = next(entry for entry in summary.sweep if entry.value == value)
    assert summary.recall_at_10 == chosen.recall_at_10 >= 0.9
    assert all(entry.recall_at_10 < 0.9 for entry in cheaper)
    values = [entry.value or 0 for entry in summary.sweep]
    assert values == sorted(set(values))
    assert (summary.target_recall, summary.reason) == (0.9, None)


def test_what_a_build_writes_into_its_summary_is_what_its_searches_find(tmp_path: Path) -> None:
    plan = plan_of("ivf-flat", {"ivf_lists": 40, "ivf_nprobe": 3})
    summary = summary_of(tmp_path, plan)
    queries = draw_sample(in_blocks(VECTORS), COUNT).queries
    found = built(tmp_path, VECTORS, plan)
    for nearest, recall in ((1, summary.sweep[0].recall_at_1), (10, summary.recall_at_10)):
        rows = found.search(queries, nearest).rows
        assert overlap(rows, nearest_rows(VECTORS, queries, nearest)) == pytest.approx(recall, abs=0.002)


def test_a_setting_that_a_user_gave_is_kept_and_only_measured(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, plan_of("ivf-flat", {"ivf_lists": 40, "ivf_nprobe": 1}))
    assert summary.index_parameters == {"ivf_lists": 40, "ivf_nprobe": 1}
    assert [entry.value for entry in summary.sweep] == [1]
    assert summary.recall_at_10 < 0.95
    assert summary.target_recall is None


def test_a_target_that_no_setting_reaches_is_said_and_the_best_setting_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = replace(plan_of("ivf-pq", {"pq_m": 2, "pq_opq": False}), keep_vectors=False)
    with caplog.at_level(logging.WARNING):
        summary = summary_of(tmp_path, plan)
    assert "no ivf_nprobe reaches the target recall of 0.95: the best" in caplog.text
    assert summary.recall_at_10 == max(entry.recall_at_10 for entry in summary.sweep) < 0.95
    assert summary.lossy
    assert summary.bytes_per_vector == round((tmp_path / "index.faiss").stat().st_size / COUNT, 1)


def test_an_exact_type_has_nothing_to_choose(tmp_path: Path) -> None:
    summary = summary_of(tmp_path, IndexPlan.flat(DIMENSION))
    assert summary.sweep == [Measured(value=None, recall_at_1=1, recall_at_10=1, recall_at_100=1)]
    assert (summary.search_setting, summary.index_parameters, summary.recall_at_10) == (None, {}, 1.0)


def test_recall_counts_true_scores_even_where_the_index_has_only_approximate_ones() -> None:
    queries = clustered_vectors(20, seed=1)
    rows = np.random.default_rng(3).integers(-1, COUNT, size=(20, 5))
    true = true_scores(Nearest(np.zeros((20, 5), np.float32), rows), queries, in_blocks(VECTORS))
    wanted = np.where(rows < 0, -np.inf, np.einsum("nd,nkd->nk", queries, VECTORS[rows]))
    np.testing.assert_allclose(true, -np.sort(-wanted, axis=1), atol=1e-6)


def test_several_parts_are_measured_together(tmp_path: Path) -> None:
    plan = replace(plan_of("ivf-flat", {}, shards=2), target_recall=0.9)
    halves = [VECTORS[rows.start : rows.stop] for rows in plan.part_rows(COUNT)]
    parts = [built(tmp_path / str(number), half, plan) for number, half in enumerate(halves)]
    summary = summarise(parts, in_blocks(VECTORS), plan, bytes_written=1)
    assert summary.recall_at_10 >= 0.9
    assert summary.sweep[-1].recall_at_10 > summary.sweep[0].recall_at_10


def test_a_corpus_of_one_passage_is_measured_too(tmp_path: Path) -> None:
    one = VECTORS[:1]
    part = built(tmp_path, one, IndexPlan.flat(DIMENSION))
    assert summarise([part], [one], IndexPlan.flat(DIMENSION), bytes_written=64).recall_at_10 == 1.0


def test_efforts_double_in_two_steps_up_to_all_there_is(tmp_path: Path) -> None:
    lists = built(tmp_path / "lists", VECTORS, plan_of("ivf-flat", {"ivf_lists": 20}))
    graph = built(tmp_path / "graph", VECTORS, plan_of("hnsw", {"hnsw_m": 4, "hnsw_ef_construction": 10}))
    assert efforts([lists], "ivf_nprobe") == [1, 2, 3, 4, 6, 8, 12, 16, 20]
    assert efforts([graph], "hnsw_ef_search")[:5] == [16, 24, 32, 48, 64]
    assert efforts([graph], "hnsw_ef_search")[-1] == COUNT


def test_the_same_build_has_the_same_summary(tmp_path: Path) -> None:
    plan = plan_of("ivf-sq8", {})
    assert summary_of(tmp_path / "one", plan) == summary_of(tmp_path / "two", plan)
