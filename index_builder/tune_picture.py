"""`tradeoff.png`: what each search setting finds, and how long it takes."""

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

if TYPE_CHECKING:
    from index_builder.tune import Timed, TuneReport

# Okabe and Ito's palette: told apart with any kind of colour vision.
_CURVES = {"recall_at_1": "#E69F00", "recall_at_10": "#0072B2", "recall_at_100": "#009E73"}
_CHOSEN = "#D55E00"


def draw(report: "TuneReport") -> None:
    """Draw what was measured into the report's PNG file."""
    figure, (recalls, times) = plt.subplots(1, 2, figsize=(12, 4.8), layout="constrained", sharey=True)
    _recall_panel(recalls, report)
    _time_panel(times, report)
    for axes in (recalls, times):
        axes.axhline(report.target_recall, color="black", linestyle="--", linewidth=1, label="target of recall@10")
        axes.margins(y=0.1)
        axes.grid(alpha=0.3)
    recalls.legend(loc="lower right", fontsize=8)
    figure.suptitle(f"{report.index.resolve().name}, version {report.version}")
    figure.savefig(report.picture, dpi=120)
    plt.close(figure)


def _recall_panel(axes: Axes, report: "TuneReport") -> None:
    """Recall over the values of the setting, evenly spaced."""
    places = range(len(report.sweep))
    for field, colour in _CURVES.items():
        shares = [getattr(entry.measured, field) for entry in report.sweep]
        axes.plot(places, shares, marker="o", markersize=4, color=colour, label=field.replace("_at_", "@"))
    chosen = next(place for place in places if report.sweep[place].measured == report.chosen)
    _ring(axes, chosen, report.chosen.recall_at_10)
    axes.set_xticks(places, [_value(entry) for entry in report.sweep])
    axes.set(xlabel=report.search_setting or "compares with every vector", ylabel="share of the nearest found")


def _time_panel(axes: Axes, report: "TuneReport") -> None:
    """Recall@10 over time: a point for each value, which stands beside it."""
    for entry in report.sweep:
        point = (entry.milliseconds, entry.measured.recall_at_10)
        axes.plot(*point, marker="o", markersize=5, color=_CURVES["recall_at_10"])
        chosen = entry.measured == report.chosen
        if chosen:
            _ring(axes, *point)
        axes.annotate(
            _value(entry),
            point,
            xytext=(0, -15),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=_CHOSEN if chosen else "black",
            fontweight="bold" if chosen else "normal",
        )
    axes.set_xlim(0, 1.15 * max(entry.milliseconds for entry in report.sweep))
    axes.set(xlabel="ms for one lookup of ten (median), recall@10")


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.plot(x, y, marker="o", markersize=12, linestyle="none", fillstyle="none", color=_CHOSEN, label="chosen")


def _value(entry: "Timed") -> str:
    return "" if entry.measured.value is None else str(entry.measured.value)
