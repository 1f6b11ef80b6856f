"""`tradeoff.png`: recall against the time of a lookup, one point for each search setting."""

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from index_builder.tune import TuneReport

# Okabe and Ito's palette: told apart with any kind of colour vision.
_CURVES = {"recall_at_1": ("recall@1", "#E69F00"), "recall_at_10": ("recall@10", "#0072B2")}
_CURVES["recall_at_100"] = ("recall@100", "#009E73")
_CHOSEN = "#D55E00"


def draw(report: "TuneReport") -> None:
    """Draw what was measured into the report's PNG file."""
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    times = [entry.milliseconds for entry in report.sweep]
    for field, (label, colour) in _CURVES.items():
        recalls = [getattr(entry.measured, field) for entry in report.sweep]
        axes.plot(times, recalls, marker="o", markersize=4, color=colour, label=label)
    axes.axhline(report.target_recall, color="black", linestyle="--", linewidth=1, label="target of recall@10")
    _name_points(axes, report)
    setting = report.search_setting or "exact search"
    axes.set(
        title=f"{report.index.resolve().name}, version {report.version}: {setting}",
        xlabel="ms for one lookup of ten (median)",
        ylabel="share of the nearest found",
        xscale="log",
    )
    axes.margins(y=0.12)
    axes.grid(alpha=0.3, which="both")
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(report.picture, dpi=120)
    plt.close(figure)


def _name_points(axes: Axes, report: "TuneReport") -> None:
    """Each value at its point of recall@10, the chosen one in a ring."""
    for entry in report.sweep:
        point = (entry.milliseconds, entry.measured.recall_at_10)
        chosen = entry.measured == report.chosen
        if entry.measured.value is not None:
            axes.annotate(
                str(entry.measured.value),
                point,
                xytext=(0, -14),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=_CHOSEN if chosen else "black",
                fontweight="bold" if chosen else "normal",
            )
        if chosen:
            axes.plot(*point, marker="o", markersize=12, fillstyle="none", color=_CHOSEN, label="chosen")
