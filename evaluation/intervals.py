"""Bootstrap over questions: how far a mean, or a difference of two, could be otherwise with other questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_BATCH = 64  # samples that are drawn at a time, so that a hundred thousand questions take 50 MB


@dataclass(frozen=True)
class Interval:
    """A mean and the middle 95 percent of its bootstrap samples, over `count` questions."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Difference:
    """How much a mean exceeds another on the same questions.

    probability: how often a sample has the other sign than the mean, doubled, at most 1: small where the difference
        would hardly come of the choice of questions.
    """

    mean: float
    low: float
    high: float
    count: int
    probability: float


def mean_intervals(scores: Sequence[Mapping[str, float]], resamples: int, seed: int = 0) -> dict[str, Interval]:
    """For each figure its mean over the questions that have it, with its interval.

    All figures see the same samples of questions. A question without the figure is left out of its samples.
    """
    names = sorted({name for one in scores for name in one})
    if not names:
        return {}
    table = np.array([[one.get(name, np.nan) for name in names] for one in scores], np.float64)
    sampled = _sampled_means(table, resamples, seed)
    low, high = np.nanpercentile(sampled, (2.5, 97.5), axis=0)
    counts = (~np.isnan(table)).sum(0)
    means = np.nansum(table, 0) / counts
    return {
        name: Interval(float(means[at]), float(low[at]), float(high[at]), int(counts[at]))
        for at, name in enumerate(names)
    }


def paired_difference(
    first: Sequence[float], second: Sequence[float], resamples: int = 1000, seed: int = 0
) -> Difference:
    """The mean of first - second over questions that both answered, the two in the same order."""
    differences = np.subtract(first, second, dtype=np.float64)[:, None]
    sampled = _sampled_means(differences, resamples, seed)[:, 0]
    mean = float(differences.mean())
    low, high = np.percentile(sampled, (2.5, 97.5))
    other_sign = float(np.mean(sampled <= 0 if mean > 0 else sampled >= 0))
    return Difference(mean, float(low), float(high), len(differences), min(1.0, 2 * other_sign))


def _sampled_means(table: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Means of each column over samples of the rows, NaN left out: float64[resamples, columns]."""
    generator = np.random.default_rng(seed)
    there = ~np.isnan(table)
    values = np.where(there, table, 0.0)
    chances = np.full(len(table), 1 / len(table))
    means = []
    for start in range(0, resamples, _BATCH):
        times = generator.multinomial(len(table), chances, size=min(_BATCH, resamples - start)).astype(np.float64)
        counts = times @ there
        means.append(np.divide(times @ values, counts, out=np.full(counts.shape, np.nan), where=counts > 0))
    return np.concatenate(means)
