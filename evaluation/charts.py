"""The plots of an evaluation: the figures of each set with their intervals, and when to stay silent."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from evaluation.catalogue import metric_of
from evaluation.report import EvalReport, SetReport

# Okabe and Ito's palette: told apart with any kind of colour vision.
_COLOURS = {
    "pair": "#0072B2",
    "bm25": "#E69F00",
    "dense": "#009E73",
    "closed-book": "#999999",
    "oracle": "#CC79A7",
}
_OTHERS = ("#D55E00", "#56B4E9", "#F0E442", "#000000")


def draw_charts(report: EvalReport, folder: Path) -> list[str]:
    """Draw `figures.png` and, where a set has questions without an answer, `abstention.png`; the names of both."""
    drawn = ["figures.png"]
    _draw_figures(report, folder / drawn[0])
    curves = {name: one for name, one in report.sets.items() if any(s.abstention for s in one.systems.values())}
    (folder / "abstention.png").unlink(missing_ok=True)
    if curves:
        drawn.append("abstention.png")
        _draw_abstention(report, curves, folder / drawn[1])
    return drawn


def _draw_figures(report: EvalReport, path: Path) -> None:
    """One row for each set: a bar for each figure and system, with its interval; published figures as a line."""
    size = (13.0, 3.4 * len(report.sets) + 0.8)
    figure, rows = plt.subplots(len(report.sets), 1, figsize=size, layout="constrained", squeeze=False)
    for axes, (name, one) in zip(rows.flat, report.sets.items(), strict=True):
        _bars(axes, report, one)
        axes.set(title=f"{name}: {one.questions} questions", ylabel="%", ylim=(0, 100))
        axes.spines[["top", "right"]].set_visible(False)
    handles: dict[str, Any] = {}
    for axes in rows.flat:
        found, labels = axes.get_legend_handles_labels()
        handles |= zip(labels, found, strict=True)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, frameon=False)
    figure.suptitle(report.title)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _bars(axes: Axes, report: EvalReport, one: SetReport) -> None:
    width = 0.84 / max(1, len(one.systems))
    for place, (system, told) in enumerate(one.systems.items()):
        there = [(at, told.figures[name]) for at, name in enumerate(one.shown) if name in told.figures]
        places = [at - 0.42 + (place + 0.5) * width for at, _ in there]
        heights = [100 * figure.mean for _, figure in there]
        below = [100 * (figure.mean - figure.low) for _, figure in there]
        above = [100 * (figure.high - figure.mean) for _, figure in there]
        axes.bar(places, heights, 0.92 * width, color=_colour(report, system), label=system)
        axes.errorbar(places, heights, [below, above], fmt="none", ecolor="black", capsize=2, linewidth=0.9)
    label = "published"
    for at, name in enumerate(one.shown):
        if name in one.published:
            axes.hlines(one.published[name], at - 0.46, at + 0.46, color="black", linestyle="--", label=label)
            label = "_"  # no entry of its own in the legend
    axes.set_xticks(range(len(one.shown)), [metric_of(name).label.replace(", ", ",\n") for name in one.shown])


def _draw_abstention(report: EvalReport, sets: dict[str, SetReport], path: Path) -> None:
    """Precision over recall of staying silent, one panel for each set."""
    figure, panels = plt.subplots(1, len(sets), figsize=(5.6 * len(sets), 4.6), layout="constrained", squeeze=False)
    for axes, (name, one) in zip(panels.flat, sets.items(), strict=True):
        chance = 0.0
        for system, told in one.systems.items():
            if (curve := told.abstention) is None:
                continue
            label = f"{system}, average precision {100 * curve.average_precision:.0f}"
            recalls, precisions = [100 * p.recall for p in curve.points], [100 * p.precision for p in curve.points]
            axes.step(recalls, precisions, where="post", color=_colour(report, system), label=label)
            chance = 100 * curve.share
        axes.axhline(chance, color="#666666", linestyle=":", label=f"by chance {chance:.0f}")
        axes.set(title=name, xlabel="recall: questions without an answer that are left unanswered, %")
        axes.set(ylabel="precision: unanswered questions without an answer, %", ylim=(0, 102), xlim=(0, 101))
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _colour(report: EvalReport, system: str) -> str:
    if system in _COLOURS:
        return _COLOURS[system]
    others = [name for one in report.sets.values() for name in one.systems if name not in _COLOURS]
    return _OTHERS[list(dict.fromkeys(others)).index(system) % len(_OTHERS)]
