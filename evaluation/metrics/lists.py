"""Answers that are lists, and answers of several parts: ALCE's STR-EM and its metrics of QAMPARI."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from evaluation.metrics.text import contains, normalise

Aliases = Sequence[str]
"""Ways to write one answer, any of which is right."""

_FEW = 5


def str_em(answer: str, parts: Sequence[Aliases]) -> float:
    """Share of the parts of which an alias is contained in the answer; 0 without parts."""
    return fmean(contains(answer, aliases) for aliases in parts) if parts else 0.0


@dataclass(frozen=True)
class ListScore:
    """A list against the one wanted; the fields with `_5` count five answers as all that can be asked for."""

    precision: float
    recall: float
    recall_5: float
    f1: float
    f1_5: float


def items_of(answer: str) -> list[str]:
    """The items of a comma-separated answer, in normal form; blank ones are left out."""
    whole = answer.strip().rstrip(".").rstrip(",")
    return [item for item in map(normalise, whole.split(",")) if item]


def list_score(answer: str, wanted: Sequence[Aliases]) -> ListScore:
    """Compare the comma-separated items of an answer with the answers wanted, each of which has aliases."""
    found = items_of(answer)
    forms = [{normalise(alias) for alias in aliases} for aliases in wanted]
    known = set().union(*forms)
    precision = fmean(item in known for item in found) if found else 0.0
    hits = sum(not form.isdisjoint(found) for form in forms)
    recall = hits / len(forms) if forms else 0.0
    recall_5 = min(_FEW, hits) / min(_FEW, len(forms)) if forms else 0.0
    return ListScore(precision, recall, recall_5, _harmonic(precision, recall), _harmonic(precision, recall_5))


def _harmonic(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
