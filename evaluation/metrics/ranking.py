"""What a ranking of passages, or of the pages that they stand on, is worth: KILT's retrieval metrics.

Evidence is a sequence of sets: each set supports the answer once all of its names are found. A ranking holds each name
once, where it first occurred (`distinct`).
"""

from collections.abc import Collection, Iterable, Sequence

Evidence = Sequence[Collection[str]]


def distinct(names: Iterable[str]) -> list[str]:
    """The names in order, each where it first stands; KILT drops repeated pages before it counts ranks."""
    return list(dict.fromkeys(names))


def success_at(k: int, ranking: Sequence[str], evidence: Evidence) -> bool:
    """Whether a name of any evidence set is among the first `k`."""
    wanted = {name for names in evidence for name in names}
    return not wanted.isdisjoint(ranking[:k])


def reciprocal_rank(ranking: Sequence[str], evidence: Evidence) -> float:
    """One over the rank of the first name of any evidence set; 0 where none is found."""
    wanted = {name for names in evidence for name in names}
    return next((1 / rank for rank, name in enumerate(ranking, start=1) if name in wanted), 0.0)


def r_precision(ranking: Sequence[str], evidence: Evidence) -> float:
    """For an evidence set of size R, the share of it among the first R; the best over all sets."""
    shares = [len(set(names).intersection(ranking[: len(names)])) / len(names) for names in evidence if names]
    return max(shares, default=0.0)


def recall_at(k: int, ranking: Sequence[str], evidence: Evidence) -> float:
    """Share of the distinct evidence sets that are complete within the first `k` rank points.

    A set takes one rank point however many names it has: that of its last name found. A name that belongs to no set
    takes one. A name of two sets moves on both. An empty set counts among the sets and is never complete.
    """
    sets = list(dict.fromkeys(frozenset(names) for names in evidence))
    if not sets:
        return 0.0
    return sum(_rank_points(ranking, sets)[:k]) / len(sets)


def _rank_points(ranking: Sequence[str], sets: Sequence[frozenset[str]]) -> list[bool]:
    """The ranking as KILT counts it; True where a set became complete.

    A set that is partly found holds a place at its latest name, which is given up when the next one is found.
    """
    points: list[tuple[int | None, bool]] = []  # which set, if any, and whether it is complete
    missing = [set(names) for names in sets]
    for name in ranking:
        belongs = [number for number, names in enumerate(missing) if name in names]
        if not belongs:
            points.append((None, False))
        for number in belongs:
            missing[number].remove(name)
            points = [point for point in points if point[0] != number]
            points.append((number, not missing[number]))
    return [complete for _, complete in points]
