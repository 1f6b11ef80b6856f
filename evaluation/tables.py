"""`report.md` and `report.json` of an experiment."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from evaluation.markdown import table
from evaluation.results import CellResult, Domain, Report, Spread, spread_of
from semiparametric.replacing import write_whole


@dataclass(frozen=True)
class Metric:
    """A figure of `SetFigures`: its field, its name in tables and plots, and what it says."""

    field: str
    label: str
    meaning: str


METRICS = (
    Metric("recall_at_1", "recall@1", "lookups whose first passage is a gold one"),
    Metric("recall_at_5", "recall@5", "lookups with a gold passage among the first five"),
    Metric("f1", "F1", "mean token F1 of the greedy answer against the closest reference (KILT's normalisation)"),
    Metric("exact_match", "EM", "answers that are a reference, normalised"),
    Metric("right", "right", "answers that contain a reference, normalised; where a set gives an F1, also those"),
    Metric("grounded", "grounded", "answers that cite, and whose cited spans stand word for word in their passages"),
    Metric("cites_gold", "cites gold", "answers that looked up a gold passage"),
    Metric(
        "right_on_wrong_lookup",
        "right, lookup wrong",
        "of the answers that looked up no gold passage, those that are right all the same: said from memory",
    ),
)
HEADLINE = tuple(metric for metric in METRICS if metric.field in {"recall_at_1", "f1"})
DOMAINS: tuple[Domain, ...] = ("in-domain", "out-of-domain")


def write_report(report: Report, folder: Path, plots: Sequence[str]) -> None:
    """Write `report.json` and `report.md` into a folder; each appears whole or not at all.

    Args:
        report: What was found.
        folder: Where to write.
        plots: Names of the plots that stand in the folder.
    """
    told = report.model_dump(mode="json") | {"summary": summary(report)}
    write_whole(folder / "report.json", json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    write_whole(folder / "report.md", markdown(report, plots))


def summary(report: Report) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean, standard deviation and single values over seeds, by group, set and field; None: not applicable."""
    return {
        group: {
            name: {
                metric.field: spread.model_dump() if (spread := report.spread(group, name, metric.field)) else None
                for metric in METRICS
            }
            for name in report.sets
        }
        for group in report.groups
    }


def markdown(report: Report, plots: Sequence[str] = ()) -> str:
    """The report as a page."""
    parts = [f"# {report.title}", _about(report)]
    if report.failures:
        parts += ["## Cells that failed", _failures(report)]
    if report.cells:
        parts += ["## Averages over the sets", _averages(report)]
    reference = reference_group(report)
    if reference is not None and len(report.groups) > 1:
        parts += [f"## What {reference} gains", _gains(report, reference)]
    for name, about in report.sets.items():
        parts += [f"## {name}", f"{about.domain}, {about.questions} questions over {about.passages} passages."]
        parts.append(_set_table(report, name))
    parts += [f"![{plot.removesuffix('.png')}]({plot})" for plot in plots]
    parts += ["## What the figures mean", _meanings(), "## Cells", _cells(report)]
    return "\n\n".join(part for part in parts if part) + "\n"


def reference_group(report: Report) -> str | None:
    """The group that others are compared with: the first that is co-supervised."""
    return next((cell.group for cell in report.cells if cell.supervision == "co-supervised"), None)


def domain_average(report: Report, cell: CellResult, domain: Domain, field: str) -> float | None:
    """Mean of a cell's figure over the sets of a domain; None where one does not apply."""
    values = [getattr(cell.sets[name], field) for name, about in report.sets.items() if about.domain == domain]
    return fmean(values) if values and None not in values else None


def percent(spread: Spread | None, *, signed: bool = False) -> str:
    """A share as `41.2 ± 1.3` in percent, without the spread for a single seed."""
    if spread is None:
        return "n/a"
    mean = f"{100 * spread.mean:+.1f}" if signed else f"{100 * spread.mean:.1f}"
    return mean if spread.deviation is None else f"{mean} ± {100 * spread.deviation:.1f}"


def _about(report: Report) -> str:
    seeds = sorted({cell.seed for cell in report.cells})
    with_what = ", ".join(f"{name} {value}" for name, value in report.made_with.items())
    told = f"{len(report.cells)} cells, seeds {', '.join(map(str, seeds)) or 'none'}."
    if len(seeds) > 1:
        told += " Figures are the mean over seeds ± the standard deviation of the sample."
    else:
        told += " With a single seed there is no spread: differences of a few points mean nothing."
    return f"{told} All figures are percentages.\n\nMade with {with_what}." if with_what else told


def _failures(report: Report) -> str:
    return "\n".join(f"- `{name}`: {' '.join(why.split())}" for name, why in report.failures.items())


def _averages(report: Report) -> str:
    domains = [domain for domain in DOMAINS if any(about.domain == domain for about in report.sets.values())]
    columns = [(f"{domain} {metric.label}", domain, metric.field) for domain in domains for metric in HEADLINE]
    rows = []
    for group in report.groups:
        cells = report.of_group(group)
        spreads = [
            spread_of([domain_average(report, cell, domain, field) for cell in cells]) for _, domain, field in columns
        ]
        rows.append([group, *map(percent, spreads)])
    return table(["", *(label for label, _, _ in columns)], rows)


def _gains(report: Report, reference: str) -> str:
    """Differences between cells of equal seed, so that what a seed does to both does not count as spread."""
    by_seed = {cell.seed: cell for cell in report.of_group(reference)}
    columns = [(f"{name} {metric.label}", name, metric.field) for name in report.sets for metric in HEADLINE]
    rows = []
    for group in report.groups:
        if group == reference:
            continue
        pairs = [(by_seed[cell.seed], cell) for cell in report.of_group(group) if cell.seed in by_seed]
        spreads = (
            spread_of([_difference(ours, theirs, name, field) for ours, theirs in pairs]) for _, name, field in columns
        )
        rows.append([f"over {group}", *(percent(spread, signed=True) for spread in spreads)])
    said = "Percentage points, seed by seed: above zero, it is better than the other."
    return f"{said}\n\n{table(['', *(label for label, _, _ in columns)], rows)}"


def _difference(ours: CellResult, theirs: CellResult, name: str, field: str) -> float | None:
    mine, other = getattr(ours.sets[name], field), getattr(theirs.sets[name], field)
    return None if mine is None or other is None else mine - other


def _set_table(report: Report, name: str) -> str:
    rows = [
        [group, *(percent(report.spread(group, name, metric.field)) for metric in METRICS)] for group in report.groups
    ]
    if name in report.bm25:
        rows.append(["BM25", *(percent(spread_of([getattr(report.bm25[name], m.field)])) for m in METRICS)])
    notes = [f"{group}: {note}." for group, note in _notes(report, name)]
    return "\n\n".join([table(["", *(metric.label for metric in METRICS)], rows), *notes])


def _notes(report: Report, name: str) -> list[tuple[str, str]]:
    told = {(cell.group, cell.sets[name].note) for cell in report.cells if cell.sets[name].note}
    refused = {cell.group: cell.sets[name].refused for cell in report.cells if cell.sets[name].refused}
    for group, count in refused.items():
        told.add((group, f"{count} questions could not be asked and count as wrong"))
    counts = sorted({cell.sets[name].answered for cell in report.cells} - {0})
    if counts:
        told.add(("Answers", f"the first {' or '.join(map(str, counts))} questions were answered"))
    return sorted(told)


def _meanings() -> str:
    return "\n".join(f"- **{metric.label}**: {metric.meaning}." for metric in METRICS)


def _cells(report: Report) -> str:
    phases = list(dict.fromkeys(phase for cell in report.cells for phase in cell.seconds))
    rows = [[f"`{cell.name}`", *(f"{cell.seconds.get(phase, 0):.0f} s" for phase in phases)] for cell in report.cells]
    return table(["cell", *phases], rows) if rows else ""
