"""Two evaluations, or two systems of one, on the questions that both answered: a paired bootstrap."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from evaluation.catalogue import in_order, is_metric, metric_of
from evaluation.intervals import Difference, paired_difference
from evaluation.markdown import table
from semiparametric.errors import InputError
from semiparametric.formats import parse_json
from semiparametric.lines import raw_lines

SCORES = "scores.jsonl"
_DEFAULT_SYSTEM = "pair"


class ScoreLine(BaseModel):
    """One question of `scores.jsonl`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    system: str
    id: str
    slice: str
    scores: dict[str, float]


@dataclass(frozen=True)
class Side:
    """One of the two: a folder of an evaluation and a system of it."""

    folder: Path
    system: str

    @classmethod
    def of(cls, said: str) -> "Side":
        """`folder` or `folder:system`; without a system it is the pair."""
        folder, colon, system = said.rpartition(":")
        return cls(Path(folder), system) if colon and not Path(said).exists() else cls(Path(said), _DEFAULT_SYSTEM)

    def __str__(self) -> str:
        return f"{self.folder}:{self.system}"


Scored = dict[str, dict[str, dict[str, float]]]
"""Figures by set and question."""


def read_scores(side: Side) -> Scored:
    """The scores of one side.

    Raises:
        InputError: The folder holds no evaluation, or not this system.
    """
    path = side.folder / SCORES
    if not path.is_file():
        raise InputError(
            f"there is no {SCORES}",
            where=str(side.folder),
            remedy="Give the `out` of a `cosup eval`, and a system of it as FOLDER:SYSTEM",
        )
    found: Scored = {}
    systems: set[str] = set()
    for number, line in raw_lines(path):
        record = parse_json(line, ScoreLine, f"{path}, line {number}")
        systems.add(record.system)
        if record.system == side.system:
            found.setdefault(record.dataset, {})[record.id] = record.scores
    if not found:
        raise InputError(
            f"has no system {side.system!r}", where=str(side.folder), remedy=f"It has {', '.join(sorted(systems))}"
        )
    return found


def compare(first: Side, second: Side, *, resamples: int = 1000) -> dict[str, dict[str, Difference]]:
    """For each set that both have, each figure's difference first - second over the questions that both have it of.

    Raises:
        InputError: A side cannot be read, or they have no question in common.
    """
    ours, theirs = read_scores(first), read_scores(second)
    compared = {name: _compared(ours[name], theirs[name], resamples) for name in ours if name in theirs}
    if not any(compared.values()):
        raise InputError(
            f"{first} and {second} have no question of one set in common", remedy="Compare runs of the same datasets"
        )
    return compared


def _compared(
    ours: Mapping[str, Mapping[str, float]], theirs: Mapping[str, Mapping[str, float]], resamples: int
) -> dict[str, Difference]:
    common = [name for name in ours if name in theirs]
    figures = {figure for name in common for figure in ours[name] if figure in theirs[name] and is_metric(figure)}
    found = {}
    for figure in in_order(figures):
        both = [name for name in common if figure in ours[name] and figure in theirs[name]]
        found[figure] = paired_difference(
            [ours[name][figure] for name in both], [theirs[name][figure] for name in both], resamples
        )
    return found


def comparison_markdown(first: Side, second: Side, compared: Mapping[str, Mapping[str, Difference]]) -> str:
    """The differences as a page: percentage points, above zero where the first is better."""
    parts = [
        f"# {first} against {second}",
        "Percentage points on the questions that both have, with the middle 95 percent of the bootstrap samples. Above "
        "zero, the first is better. p: how likely such a difference is to come of the choice of questions alone.",
    ]
    for name, figures in compared.items():
        rows = [
            [
                metric_of(figure).label,
                f"{100 * one.mean:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]",
                f"{one.probability:.3f}",
                str(one.count),
            ]
            for figure, one in figures.items()
        ]
        parts += [f"## {name}", table(["", "difference", "p", "questions"], rows)]
    return "\n\n".join(parts) + "\n"
