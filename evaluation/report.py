"""What an evaluation found, as it stands in `report.json`, and as a page of Markdown."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from evaluation.abstention import Abstention
from evaluation.catalogue import metric_of
from evaluation.markdown import table

_RECORD = ConfigDict(frozen=True, extra="forbid")


class Figure(BaseModel):
    """A mean over questions with the middle 95 percent of its bootstrap samples; shares between 0 and 1."""

    model_config = _RECORD

    mean: float
    low: float
    high: float
    count: int = Field(description="Questions that have the figure.")


class SystemReport(BaseModel):
    """One system on one set."""

    model_config = _RECORD

    asked: int = Field(description="Questions (number).")
    refused: int = Field(description="Of these, questions that could not be asked; they count as wrong (number).")
    figures: dict[str, Figure]
    slices: dict[str, int] = Field(description="Questions by where they went wrong (number).")
    seconds: float = Field(description="Mean time of an answer, with others beside it in the batch.")
    abstention: Abstention | None = None


class SetReport(BaseModel):
    """One set."""

    model_config = _RECORD

    format: str
    questions: int
    unanswerable: int = Field(description="Questions without any answer; they count in no figure (number).")
    shown: list[str] = Field(description="Names of the figures in the table, in order.")
    systems: dict[str, SystemReport]
    published: dict[str, float] = Field(description="Published figures, in percent.")
    published_source: str


class EvalReport(BaseModel):
    """A whole evaluation."""

    model_config = _RECORD

    title: str
    asked: str = Field(description="The pair or the service that was asked.")
    judge: str
    sets: dict[str, SetReport]
    settings: dict[str, Any]
    made_with: dict[str, str]


def markdown(report: EvalReport, plots: Sequence[str] = ()) -> str:
    """The report as a page."""
    parts = [f"# {report.title}", _about(report)]
    for name, one in report.sets.items():
        parts += [f"## {name}", _set_about(one), _figures(one), _notes(one), "### Where it goes wrong", _slices(one)]
        if any(system.abstention for system in one.systems.values()):
            parts += ["### Questions without an answer", _abstention(one)]
    parts += [f"![{plot.removesuffix('.png')}]({plot})" for plot in plots]
    parts += ["## What the figures mean", _meanings(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _about(report: EvalReport) -> str:
    told = ", ".join(f"{name} {value}" for name, value in report.made_with.items())
    decoding = ", ".join(f"{name} {value}" for name, value in report.settings["decoding"].items())
    return (
        f"`{report.asked}`, {decoding}. Judge: {report.judge}. All figures are percentages; in brackets stands the "
        f"middle 95 percent of {report.settings['resamples']} bootstrap samples of the questions.\n\nMade with {told}."
    )


def _set_about(one: SetReport) -> str:
    told = f"{one.questions} questions."
    if one.unanswerable:
        told += f" {one.unanswerable} of them have no answer and count in no figure of the first table."
    return told


def _figures(one: SetReport) -> str:
    rows = [
        [name, str(system.asked), *(_percent(system.figures.get(figure)) for figure in one.shown)]
        for name, system in one.systems.items()
    ]
    if one.published:
        rows.append(["*published*", "", *(_published(one, figure) for figure in one.shown)])
    return table(["", "questions", *(metric_of(figure).label for figure in one.shown)], rows)


def _notes(one: SetReport) -> str:
    told = [
        f"{name}: {system.refused} questions could not be asked and count as wrong."
        for name, system in one.systems.items()
        if system.refused
    ]
    if one.published:
        told.append(f"Published: {one.published_source}.")
    return "\n\n".join(told)


def _published(one: SetReport, figure: str) -> str:
    return f"{one.published[figure]:.1f}" if figure in one.published else ""


def _percent(figure: Figure | None) -> str:
    if figure is None:
        return "n/a"
    return f"{100 * figure.mean:.1f} [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"


def _slices(one: SetReport) -> str:
    names = sorted({name for system in one.systems.values() for name in system.slices})
    rows = [[name, *(_share(system, name) for system in one.systems.values())] for name in names]
    return table(["", *one.systems], rows)


def _share(system: SystemReport, name: str) -> str:
    count = system.slices.get(name, 0)
    return f"{count} ({100 * count / system.asked:.0f}%)" if count else "0"


def _abstention(one: SetReport) -> str:
    rows = []
    for name, system in one.systems.items():
        if (curve := system.abstention) is not None:
            best = max(curve.points, key=lambda point: point.f1)
            figures = (curve.average_precision, curve.share, best.precision, best.recall, best.answered)
            rows.append([name, *(f"{100 * figure:.1f}" for figure in figures), f"{best.min_score:.3f}"])
    head = ["", "average precision", "by chance", "precision", "recall", "still answered", "min_score"]
    told = (
        "A lookup whose best score is below `min_score` is withdrawn, and the question left unanswered. Average "
        "precision is over all values of it; the other columns are those of the value with the best F1, chosen on "
        "these very questions, so they flatter."
    )
    return f"{told}\n\n{table(head, rows)}"


def _meanings(report: EvalReport) -> str:
    names = dict.fromkeys(name for one in report.sets.values() for name in one.shown)
    return "\n".join(f"- **{metric_of(name).label}**: {metric_of(name).meaning}." for name in names)
