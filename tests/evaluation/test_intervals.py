"""The bootstrap against slow and obvious resampling, and against theory."""

import math

import numpy as np
import pytest

from evaluation.intervals import mean_intervals, paired_difference


def test_an_interval_is_about_two_standard_errors_to_either_side() -> None:
    values = np.random.default_rng(1).random(400)
    found = mean_intervals([{"f1": float(value)} for value in values], 2000)["f1"]
    error = values.std() / math.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)
    assert found.count == 400


def test_questions_without_a_figure_count_in_neither_mean_nor_samples() -> None:
    scores = [{"em": 1.0, "kilt_em": 0.5}, {"em": 0.0}, {"em": 1.0, "kilt_em": 0.5}, {}]
    found = mean_intervals(scores, 200)
    assert found["em"].mean == pytest.approx(2 / 3)
    assert found["em"].count == 3
    assert (found["kilt_em"].mean, found["kilt_em"].low, found["kilt_em"].high) == (0.5, 0.5, 0.5)


def test_the_same_seed_gives_the_same_interval_and_no_scores_none() -> None:
    scores = [{"f1": number / 10} for number in range(10)]
    assert mean_intervals(scores, 100, seed=3) == mean_intervals(scores, 100, seed=3)
    assert mean_intervals([{}, {}], 100) == {}


def test_a_paired_difference_sees_what_two_intervals_hide() -> None:
    generator = np.random.default_rng(0)
    hard = generator.random(300)  # how hard each question is, the same for both
    ours, theirs = hard + 0.02 + 0.01 * generator.random(300), hard
    found = paired_difference(ours.tolist(), theirs.tolist())
    assert found.low > 0.02
    assert found.probability == 0.0
    apart = mean_intervals([{"a": a, "b": b} for a, b in zip(ours, theirs, strict=True)], 500)
    assert apart["a"].low < apart["b"].high


def test_equal_answers_have_no_difference() -> None:
    found = paired_difference([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert (found.mean, found.low, found.high, found.probability) == (0.0, 0.0, 0.0, 1.0)
