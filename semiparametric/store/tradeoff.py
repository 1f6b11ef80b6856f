"""Recall against effort: measuring one search setting after the other, and choosing the cheapest that suffices."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from semiparametric.store.backend import Nearest, merged
from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_structure import HNSW_EF_SEARCH
from semiparametric.store.index_summary import IndexSummary, Measured
from semiparametric.store.recall import Blocks, Sample, draw_sample, true_scores
from semiparametric.store.vectors import VectorIndex

logger = logging.getLogger(__name__)

_NEARLY_ALL = 0.999  # recall@10 after which more effort shows nothing new
_LITTLE = 0.001  # gain of recall@10 in so many steps after which more effort shows nothing new either
_STEPS = 4
_GREATEST_EF_SEARCH = 4096
_AT_ONCE = 1000  # queries searched at a time: so many that faiss multiplies matrices, even where it compares with all


def summarise(parts: Sequence[VectorIndex], blocks: Blocks, plan: IndexPlan, *, bytes_written: int) -> IndexSummary:
    """Measure an index that was just built, and choose its search setting if the plan leaves that open.

    Args:
        parts: All parts of the vectors, none with deleted rows, in the order of rows.
        blocks: Their vectors, `float32[n, d]` each, in the same order; read several times.
        plan: What was built.
        bytes_written: Size of the files of the parts.
    """
    count = sum(map(len, parts))
    sample = draw_sample(blocks, count)
    name = plan.search_setting
    parameters = dict(plan.index_parameters)
    if name is None:
        sweep = [measure(parts, None, sample, blocks)]
    elif name in parameters:
        sweep = [measure(parts, int(parameters[name]), sample, blocks)]
    else:
        sweep = list(measured(parts, efforts(parts, name), sample, blocks))
    chosen = choose(sweep, plan.target_recall)
    free = name is not None and name not in parameters
    if free and chosen.value is not None:
        parameters[str(name)] = chosen.value
    _tell(chosen, plan, name, free=free)
    return IndexSummary(
        dimension=plan.dimension,
        index_type=plan.index_type,
        index_parameters=parameters,
        recall_at_10=chosen.recall_at_10,
        recall_queries=sample.words,
        reason=plan.reason,
        lossy=plan.lossy,
        bytes_per_vector=round(bytes_written / count, 1),
        search_setting=name,
        target_recall=plan.target_recall if free else None,
        sweep=sweep,
    )


def choose(sweep: Sequence[Measured], target_recall: float) -> Measured:
    """The first setting whose recall@10 reaches the target; if none does, the first of the best."""
    for entry in sweep:
        if entry.recall_at_10 >= target_recall:
            return entry
    return max(sweep, key=lambda entry: entry.recall_at_10)


def efforts(parts: Sequence[VectorIndex], name: str) -> list[int]:
    """The values of a search setting that are worth trying, ascending: two for each doubling."""
    greatest = max(part.greatest_effort for part in parts)
    if name == HNSW_EF_SEARCH:
        return _steps(16, min(greatest, _GREATEST_EF_SEARCH))
    return _steps(1, greatest)


def measured(parts: Sequence[VectorIndex], values: Sequence[int], sample: Sample, blocks: Blocks) -> Iterator[Measured]:
    """The recall of each value, ascending, until one finds nearly all or more effort finds no more."""
    recalls: list[float] = []
    for value in values:
        entry = measure(parts, value, sample, blocks)
        logger.debug("search setting %d: recall@10 %.4f", value, entry.recall_at_10)
        yield entry
        recalls.append(entry.recall_at_10)
        gain = recalls[-1] - recalls[-_STEPS - 1] if len(recalls) > _STEPS else 1.0
        if recalls[-1] >= _NEARLY_ALL or gain < _LITTLE:
            return


def measure(parts: Sequence[VectorIndex], value: int | None, sample: Sample, blocks: Blocks) -> Measured:
    """The recall of one value, over all parts together."""
    ten = _found(parts, value, sample, blocks, 10)
    hundred = _found(parts, value, sample, blocks, 100)
    return Measured(
        value=value,
        recall_at_1=round(sample.recall(ten, 1), 4),
        recall_at_10=round(sample.recall(ten, 10), 4),
        recall_at_100=round(sample.recall(hundred, 100), 4),
    )


def search_parts(parts: Sequence[VectorIndex], queries: NDArray[np.float32], top_k: int, value: int | None) -> Nearest:
    """What all parts find together, with one value of the search setting."""
    found, start = [], 0
    for part in parts:
        found.append(part.search(queries, top_k, effort=value).numbered_from(start))
        start += len(part)
    return found[0] if len(found) == 1 else merged(found, top_k)


def _found(
    parts: Sequence[VectorIndex], value: int | None, sample: Sample, blocks: Blocks, top_k: int
) -> NDArray[np.float32]:
    """The true scores of what the parts find, best first; `float32[n, top_k]`."""
    some = [sample.queries[start : start + _AT_ONCE] for start in range(0, len(sample.queries), _AT_ONCE)]
    found = [search_parts(parts, queries, top_k, value) for queries in some]
    scores = np.concatenate([nearest.scores for nearest in found])
    if all(part.gives_exact_scores for part in parts):
        return scores
    rows = np.concatenate([nearest.rows for nearest in found])
    return true_scores(Nearest(scores, rows), sample.queries, blocks)


def _steps(first: int, last: int) -> list[int]:
    """`first`, half as much again, twice as much, and so on; then `last`."""
    values, power = [], first
    while power < last:
        values += [power, power * 3 // 2]
        power *= 2
    return sorted({value for value in values if value < last} | {last})


def _tell(chosen: Measured, plan: IndexPlan, name: str | None, *, free: bool) -> None:
    if name is None:
        logger.info("recall@10 %.4f", chosen.recall_at_10)
    elif free and chosen.recall_at_10 < plan.target_recall:
        logger.warning(
            "no %s reaches the target recall of %g: the best, %s, has a recall@10 of %.4f. %s",
            name,
            plan.target_recall,
            chosen.value,
            chosen.recall_at_10,
            "Choose another index type, or keep the vectors" if plan.lossy else "Choose greater numbers for the type",
        )
    else:
        logger.info("%s is %s: recall@10 %.4f", name, chosen.value, chosen.recall_at_10)
