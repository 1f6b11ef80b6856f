"""The plots of an experiment: bars for each set, learning curves, and what lambda does.

A supervision has one colour in all plots; further groups of it (other lambdas, another Embseq) are lighter.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import colors
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluation.results import CellResult, Report
from evaluation.tables import HEADLINE, METRICS, Metric

# Okabe and Ito's palette: told apart with any kind of colour vision.
_COLOURS = {"co-supervised": "#0072B2", "separate": "#E69F00", "nsp-only": "#009E73", "shared": "#CC79A7"}
_OTHER = "#777777"
_HATCHES = ("", "//", "..", "xx", "--")
_BAR_METRICS = tuple(metric for metric in METRICS if metric.field not in {"exact_match", "cites_gold"})
_BM25: dict[str, Any] = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 1.3}
_NUM_LIGHTER = 4
_LEAST_PERCENT = 10.0
_LEGEND_COLUMNS = 5


def draw_all(report: Report, folder: Path) -> list[str]:
    """Draw `bars.png`, `curves.png` and `lambda.png` into a folder; the names of those that had something to show."""
    plots = {"bars.png": bars, "curves.png": curves, "lambda.png": lambdas}
    drawn = []
    for name, draw in plots.items():
        figure = draw(report)
        (folder / name).unlink(missing_ok=True)
        if figure is not None:
            figure.savefig(folder / name, dpi=120)
            plt.close(figure)
            drawn.append(name)
    return drawn


def bars(report: Report) -> Figure | None:
    """One panel for each metric: for each set a bar for each group, its seeds as dots, its deviation as a line."""
    if not report.cells:
        return None
    wide = min(30.0, max(13.0, 0.3 * len(report.groups) * len(report.sets) * 3))
    figure, panels = plt.subplots(2, 3, figsize=(wide, 8.2), layout="constrained")
    for axes, metric in zip(panels.flat, _BAR_METRICS, strict=True):
        _bar_panel(axes, report, metric)
    _legend(figure, panels.flat, report)
    figure.suptitle(f"{report.title}: {_seeds(report)}")
    return figure


def curves(report: Report) -> Figure | None:
    """Losses and held-out recall over the steps: the mean over seeds, and the range from least to most."""
    names = _curve_names(report.cells)
    if not names:
        return None
    rows = -(-len(names) // 2)
    figure, panels = plt.subplots(rows, 2, figsize=(13, 3.9 * rows + 0.6), layout="constrained", squeeze=False)
    for axes, name in zip(panels.flat, names, strict=False):
        for group in report.groups:
            _curve(axes, report, group, name)
        is_share = "recall" in name or name == "accuracy"
        axes.set(
            title=_curve_title(name), xlabel="step, counted through all stages", ylabel="%" if is_share else "nats"
        )
        _tidy(axes, least_top=_LEAST_PERCENT if is_share else 0.0)
    for axes in list(panels.flat)[len(names) :]:
        axes.set_axis_off()
    _legend(figure, panels.flat, report)
    figure.suptitle(f"{report.title}: learning curves")
    return figure


def lambdas(report: Report) -> Figure | None:
    """For each set, recall@1 and F1 over lambda; groups without a lambda and BM25 as level lines."""
    weights = sorted({cell.nsp_weight for cell in report.cells if cell.nsp_weight is not None})
    if not weights:
        return None
    size = (max(7.0, 4.2 * len(report.sets)), 7.6)
    figure, panels = plt.subplots(len(HEADLINE), len(report.sets), figsize=size, layout="constrained", squeeze=False)
    for row, metric in zip(panels, HEADLINE, strict=True):
        for axes, name in zip(row, report.sets, strict=True):
            _lambda_panel(axes, report, name, metric, weights)
    _legend(figure, panels.flat, report)
    figure.suptitle(f"{report.title}: the weight of next-sequence prediction, lambda")
    return figure


def colour_of(report: Report, group: str) -> str:
    """A group's colour: its supervision's, lighter for each group of the same supervision before it."""
    supervision = {cell.group: cell.supervision for cell in report.cells}
    kin = [other for other in report.groups if supervision[other] == supervision[group]]
    lighter = 0.55 * min(kin.index(group), _NUM_LIGHTER) / max(1, min(len(kin) - 1, _NUM_LIGHTER))
    base = colors.to_rgb(_COLOURS.get(supervision[group], _OTHER))
    red, green, blue = (channel + (1 - channel) * lighter for channel in base)
    return colors.to_hex((red, green, blue))


def _bar_panel(axes: Axes, report: Report, metric: Metric) -> None:
    width = 0.84 / len(report.groups)
    for place, group in enumerate(report.groups):
        hatch = _HATCHES[place // (2 * len(_COLOURS)) % len(_HATCHES)]
        label: str | None = group
        for number, name in enumerate(report.sets):
            x = number - 0.42 + (place + 0.5) * width
            spread = report.spread(group, name, metric.field)
            mean = 0.0 if spread is None else 100 * spread.mean
            axes.bar(x, mean, 0.92 * width, color=colour_of(report, group), hatch=hatch, label=label)
            label = None  # one entry of the legend for all sets
            if spread is None:
                axes.text(x, 0, " n/a", rotation=90, ha="center", va="bottom", fontsize=8, color="#666666")
                continue
            if spread.deviation is not None:
                axes.errorbar(x, mean, 100 * spread.deviation, color="black", capsize=2.5, linewidth=1)
                dots = [100 * value for value in spread.values]
                axes.scatter([x] * len(dots), dots, s=9, color="white", edgecolors="black", linewidths=0.6, zorder=3)
    _bm25_bars(axes, report, metric)
    labels = [f"{name}\n({about.domain})" for name, about in report.sets.items()]
    axes.set_xticks(range(len(labels)), labels)
    axes.set(title=metric.label, ylabel="%")
    _tidy(axes, least_top=_LEAST_PERCENT)


def _bm25_bars(axes: Axes, report: Report, metric: Metric) -> None:
    label = "BM25"
    for number, name in enumerate(report.sets):
        value = getattr(report.bm25[name], metric.field) if name in report.bm25 else None
        if value is not None:
            axes.hlines(100 * value, number - 0.46, number + 0.46, label=label, **_BM25)
            label = "_"  # no entry of its own in the legend


def _curve(axes: Axes, report: Report, group: str, name: str) -> None:
    runs = [dict(cell.curves[name]) for cell in report.of_group(group) if cell.curves.get(name)]
    if not runs:
        return
    steps = sorted(set.intersection(*(set(run) for run in runs)))
    is_share = "recall" in name or name == "accuracy"
    values = [[run[step] * (100 if is_share else 1) for run in runs] for step in steps]
    colour = colour_of(report, group)
    marker = "o" if len(steps) < 15 else ""
    means = [sum(column) / len(column) for column in values]
    axes.plot(steps, means, color=colour, label=group, marker=marker, markersize=3.5)
    if len(runs) > 1:
        axes.fill_between(steps, [min(v) for v in values], [max(v) for v in values], color=colour, alpha=0.15)


def _lambda_panel(axes: Axes, report: Report, name: str, metric: Metric, weights: Sequence[float]) -> None:
    lines: dict[tuple[str, str], dict[float, str]] = {}
    for cell in report.cells:
        if cell.nsp_weight is not None:
            lines.setdefault((cell.supervision, cell.embseq), {})[cell.nsp_weight] = cell.group
    for (supervision, embseq), groups in lines.items():
        _lambda_line(axes, report, name, metric, weights, groups, label=_line_label(supervision, embseq))
    for group in report.groups:
        if report.of_group(group)[0].nsp_weight is None:
            spread = report.spread(group, name, metric.field)
            if spread is not None:
                axes.axhline(100 * spread.mean, color=colour_of(report, group), label=group, linewidth=1.5)
    if name in report.bm25 and getattr(report.bm25[name], metric.field) is not None:
        axes.axhline(100 * getattr(report.bm25[name], metric.field), label="BM25", **_BM25)
    axes.set_xticks(range(len(weights)), [f"{weight:g}" for weight in weights])
    axes.set_xlim(-0.4, len(weights) - 0.6)
    axes.set(title=f"{name} ({report.sets[name].domain})", xlabel="lambda", ylabel=f"{metric.label}, %")
    _tidy(axes, least_top=_LEAST_PERCENT)


def _lambda_line(
    axes: Axes,
    report: Report,
    name: str,
    metric: Metric,
    weights: Sequence[float],
    groups: dict[float, str],
    *,
    label: str,
) -> None:
    points = [(weights.index(w), report.spread(groups[w], name, metric.field)) for w in sorted(groups)]
    there = [(x, spread) for x, spread in points if spread is not None]
    if not there:
        return
    axes.errorbar(
        [x for x, _ in there],
        [100 * spread.mean for _, spread in there],
        [100 * (spread.deviation or 0.0) for _, spread in there],
        color=colour_of(report, next(iter(groups.values()))),
        label=label,
        marker="o",
        capsize=3,
    )


def _line_label(supervision: str, embseq: str) -> str:
    return supervision if embseq in {"default", supervision} else f"{supervision}, {embseq}"


def _curve_names(cells: Sequence[CellResult]) -> list[str]:
    """The curves that are drawn: both losses, then held-out recall@1 and held-out loss."""
    names = dict.fromkeys(name for cell in cells for name, points in cell.curves.items() if points)
    wanted = [name for name in ("ntp", "nsp") if name in names]
    return wanted + [n for n in names if n.endswith("recall@1")] + [n for n in names if n.endswith("_ntp")]


def _curve_title(name: str) -> str:
    titles = {"ntp": "next-token loss, training", "nsp": "next-sequence loss, training"}
    if name in titles:
        return titles[name]
    held_out = name.removeprefix("eval_")
    if held_out.endswith("_recall@1"):
        return f"lookup recall@1, held out: {held_out.removesuffix('_recall@1')}"
    return f"next-token loss, held out: {held_out.removesuffix('_ntp')}"


def _seeds(report: Report) -> str:
    count = len({cell.seed for cell in report.cells})
    return "mean over seeds, deviation, and each seed as a dot" if count > 1 else "one seed, so no spread"


def _legend(figure: Figure, panels: Iterable[Axes], report: Report) -> None:
    """One legend for all panels, below them: lines over lambda first, then the groups of the grid, BM25 last."""
    entries: dict[str, Any] = {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    order = {group: place for place, group in enumerate(report.groups)} | {"BM25": len(report.groups)}
    labels = sorted(entries, key=lambda label: order.get(label, -1))
    columns = min(len(labels), _LEGEND_COLUMNS)
    figure.legend(
        [entries[label] for label in labels], labels, loc="outside lower center", ncols=columns, frameon=False
    )


def _tidy(axes: Axes, *, least_top: float) -> None:
    """From zero up, with room at the top; never so fine a scale that nothing looks like something."""
    axes.set_ylim(0, max(1.04 * axes.get_ylim()[1], least_top))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
