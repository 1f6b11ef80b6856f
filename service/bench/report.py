"""The figures of a load: what share was answered, how many a second, and percentiles of every time."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from pydantic import BaseModel, Field

from service.bench.outcome import Outcome

_PERCENTILES = (50, 90, 95, 99)


class Times(BaseModel):
    """The distribution of one kind of time, in milliseconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class Figures(BaseModel):
    """What came of a load."""

    requests: int = Field(description="Requests that ended.")
    answered: int = Field(description="Whole answers among them.")
    statuses: dict[str, int] = Field(description="How many ended in which way: an HTTP status or what went wrong.")
    seconds: float = Field(description="From the first request to the end of the last.")
    answers_per_s: float
    tokens_per_s: float
    lookups_per_s: float
    times_ms: dict[str, Times] = Field(description="By kind; a kind of which there was nothing is left out.")


_KINDS: dict[str, Callable[[Outcome], Sequence[float | None]]] = {
    "first text": lambda outcome: [outcome.first_s],
    "between pieces": lambda outcome: outcome.gaps_s,
    "pause at a lookup": lambda outcome: outcome.pauses_s,
    "whole answer": lambda outcome: [outcome.latency_s],
    "  in the queue": lambda outcome: [outcome.queue_s],
    "  looking up": lambda outcome: [outcome.lookup_s],
    "  outside the engine": lambda outcome: [outcome.latency_s - (outcome.engine_s or 0.0)],
}


def figures_of(outcomes: Sequence[Outcome]) -> Figures:
    """The figures. Times are those of whole answers: a refusal is quick and says nothing about them."""
    answers = [outcome for outcome in outcomes if outcome.answered]
    seconds = max((outcome.began_s + outcome.latency_s for outcome in outcomes), default=0.0)
    seconds -= min((outcome.began_s for outcome in outcomes), default=0.0)

    def per_second(count: int) -> float:
        return count / seconds if seconds else 0.0

    times = {
        kind: [value for one in answers for value in read(one) if value is not None] for kind, read in _KINDS.items()
    }
    return Figures(
        requests=len(outcomes),
        answered=len(answers),
        statuses=dict(Counter(outcome.status for outcome in outcomes).most_common()),
        seconds=seconds,
        answers_per_s=per_second(len(answers)),
        tokens_per_s=per_second(sum(answer.completion_tokens for answer in answers)),
        lookups_per_s=per_second(sum(answer.retrievals for answer in answers)),
        times_ms={kind.strip(): _times(values) for kind, values in times.items() if values},
    )


def table_of(figures: Figures) -> str:
    """The figures as text for a terminal."""
    statuses = ", ".join(f"{status}: {count}" for status, count in figures.statuses.items())
    lines = [
        f"{figures.requests} requests in {figures.seconds:.1f} s, {figures.answered} answered ({statuses or 'none'})",
        f"{figures.answers_per_s:.2f} answers/s, {figures.tokens_per_s:.1f} tokens/s, "
        f"{figures.lookups_per_s:.2f} lookups/s",
    ]
    if figures.times_ms:
        columns = ["mean", *(f"p{percentile}" for percentile in _PERCENTILES), "max"]
        lines += ["", f"{'milliseconds':<22}" + "".join(f"{column:>10}" for column in columns)]
    for kind in _KINDS:
        times = figures.times_ms.get(kind.strip())
        if times is not None:
            values = (times.mean, times.p50, times.p90, times.p95, times.p99, times.max)
            lines.append(f"{kind:<22}" + "".join(f"{value:>10.1f}" for value in values))
    return "\n".join(lines)


def _times(seconds: Sequence[float]) -> Times:
    values = np.array(seconds) * 1000
    p50, p90, p95, p99 = np.percentile(values, _PERCENTILES).tolist()
    return Times(count=len(values), mean=values.mean(), p50=p50, p90=p90, p95=p95, p99=p99, max=values.max())
