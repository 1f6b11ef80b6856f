"""`auto`: which index type suits so many vectors of such a dimension within a memory budget, and why."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_types import Given

COMPARED = 2**25
"""Numbers that exact search may read for one lookup: 128 MiB, some 10 ms of one core."""

LINKED = 2_000_000
"""Vectors that a graph may link; one thread links them, in an hour or so at 384 dimensions."""

_GIB = 2**30


@dataclass(frozen=True)
class _Need:
    """What a plan needs for all vectors, and what speaks for it."""

    plan: IndexPlan
    gib: float
    why: str

    def __str__(self) -> str:
        return f"{self.plan.index_type} takes {self.gib:.2f} GiB"


def choose_plan(
    given: Given, *, count: int, dimension: int, shards: int, memory_budget: float | None, **more: object
) -> IndexPlan:
    """The plan of the type that `auto` stands for.

    Args:
        given: Numbers of index types that a user set; they hold for whichever type is chosen.
        count: Vectors.
        dimension: Length of a vector.
        shards: Parts to cut them into.
        memory_budget: GiB that the index may take where it is served; None for as many as it wants.
        more: The other fields of a plan.

    Returns:
        The plan; its `reason` says what was weighed.

    Raises:
        InputError: A number that was set cannot be built.
    """
    passed_over: list[_Need] = []
    for need in _candidates(given, count=count, dimension=dimension, shards=shards, **more):
        if memory_budget is None or need.gib <= memory_budget:
            return replace(need.plan, reason=_reason(need, need.why, passed_over, memory_budget, count))
        passed_over.append(need)
    smallest = min(passed_over, key=lambda need: need.gib)
    why = "the smallest, though it exceeds the budget: choose a greater one, fewer dimensions or a factory string"
    return replace(smallest.plan, reason=_reason(smallest, why, passed_over, memory_budget, count))


def _reason(need: _Need, why: str, passed_over: list[_Need], memory_budget: float | None, count: int) -> str:
    budget = "no memory budget" if memory_budget is None else f"a memory budget of {memory_budget:g} GiB"
    greater = [str(other) for other in passed_over if other.plan.index_type != need.plan.index_type]
    text = f"{count} vectors of {need.plan.dimension} dimensions, {budget}: {need}, {why}"
    return f"{text} ({', '.join(greater)})" if greater else text


def _candidates(given: Given, *, count: int, dimension: int, shards: int, **more: object) -> Iterator[_Need]:
    """Types with the reason for each, the one that is preferred first and the smallest last."""

    def need(name: str, why: str, **numbers: int) -> _Need:
        plan = IndexPlan.checked(name, {**given, **numbers}, count=count, dimension=dimension, shards=shards, **more)
        return _Need(plan, count * plan.bytes_per_vector / _GIB, why)

    if count * dimension <= COMPARED:
        yield need("flat", "few enough to compare a query with all of them")
    if count * dimension > COMPARED and count <= LINKED:
        yield need("hnsw", "few enough for one thread to link them into a graph")
    if count * dimension > COMPARED:
        yield need("ivf-flat", "the quickest to build")
    if count * dimension > COMPARED or count >= 256:
        yield need("ivf-sq8", "the most exact that fits")
    if count >= 256 * shards:
        for bytes_each in _code_lengths(dimension, given):
            yield need("ivf-pq", f"with codes of {bytes_each} bytes the most exact that fits", pq_m=bytes_each)


def _code_lengths(dimension: int, given: Given) -> list[int]:
    """Bytes of a code that are worth trying, longest first: from one for two dimensions to one for 32."""
    if given.get("pq_m"):
        return [int(given["pq_m"] or 0)]
    lengths = [number for number in range(1, dimension // 2 + 1) if dimension % number == 0]
    return [number for number in reversed(lengths) if number >= dimension / 32] or [1]
