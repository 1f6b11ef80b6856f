"""An experiment from beginning to end: data, sets, cells, report and plots."""

import logging
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cosup.experiment.data import Digests, check_files, prepare
from cosup.experiment.grid import Cell, cells_of
from cosup.experiment.order import ORDER, Order, order_of, read_result
from cosup.experiment.processes import Running, places, run_all
from cosup.experiment.sets import SetRecord, examine
from cosup.experiment.settings import ExperimentSettings
from evaluation.made_with import made_with
from evaluation.results import CellResult, Report
from semiparametric.errors import CosupError
from semiparametric.replacing import write_whole

logger = logging.getLogger(__name__)


def run_experiment(settings: ExperimentSettings, console: Console) -> Report:
    """Train and measure all cells that have no result yet, then write report and plots into `out`.

    Cells that fail are named in the report, with the reason; the others are in it all the same. Run again, it goes on.

    Raises:
        InputError: A setting of any cell, a file or a set is wrong; nothing was trained then.
        CosupError: A library is missing.
    """
    _check_tools()
    cells = cells_of(settings)
    check_files(path for path in _files(cells, settings) if not _is_prepared(path, settings))
    settings.out.mkdir(parents=True, exist_ok=True)
    prepare(settings)
    check_files(_files(cells, settings))
    digests = Digests()
    sets = {
        name: examine(name, one, settings.out / "sets", digests, bm25=settings.bm25)
        for name, one in cells[0].sets.items()
    }
    orders = {settings.out / "cells" / cell.name: order_of(cell, settings, digests) for cell in cells}
    failures = _run_cells(orders, cells, settings, console)
    report = _report(settings, sets, orders, failures)
    _write(report, settings.out)
    return report


def _check_tools() -> None:
    """Miss a library at the start, not when everything is trained."""
    for name in ("accelerate", "matplotlib"):
        if find_spec(name) is None:
            raise CosupError(
                f"an experiment needs {name}, which is not installed", remedy="Install it: pip install 'cosup[train]'"
            )


def _files(cells: Iterable[Cell], settings: ExperimentSettings) -> list[Path]:
    read: dict[Path, None] = {}
    for cell in cells:
        read |= dict.fromkeys([*cell.train.corpus, *cell.train.train, *cell.train.held_out.values()])
        read |= dict.fromkeys(path for one in cell.sets.values() for path in (one.corpus, one.examples))
    return list(read)


def _is_prepared(path: Path, settings: ExperimentSettings) -> bool:
    return any(path.is_relative_to(settings.out / "data" / name) for name in settings.prepare)


def _run_cells(
    orders: dict[Path, Order], cells: Sequence[Cell], settings: ExperimentSettings, console: Console
) -> dict[str, str]:
    """Run what has no result yet; why the others failed, by name."""
    waiting = [folder for folder, order in orders.items() if read_result(folder, order) is None]
    console.print(f"{len(orders)} cells, {len(orders) - len(waiting)} finished already")
    for folder in waiting:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ORDER, orders[folder].model_dump_json(indent=1) + "\n")
    if not waiting:
        return {}
    wants_gpus = any(cell.train.device != "cpu" for cell in cells)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
    ) as bars:
        told = _Told(bars, len(orders), len(orders) - len(waiting))
        run_all(waiting, places(settings.jobs, gpus_wanted=wants_gpus), on_end=told.on_end, on_poll=told.on_poll)
    return told.failures


class _Told:
    """What the person at the terminal sees: a bar of cells, a line for each under way, a line for each that ended."""

    def __init__(self, bars: Progress, total: int, finished: int) -> None:
        self.failures: dict[str, str] = {}
        self._bars = bars
        self._cells = bars.add_task("cells", total=total, completed=finished)
        self._under_way: dict[str, TaskID] = {}

    def on_end(self, folder: Path, why: str | None) -> None:
        task = self._under_way.pop(folder.name, None)
        if task is not None:
            self._bars.remove_task(task)
        self._bars.advance(self._cells)
        if why is None:
            self._bars.console.print(f"finished {folder.name}", highlight=False, markup=False, soft_wrap=True)
        else:
            self.failures[folder.name] = why
            self._bars.console.print(
                f"failed {folder.name}: {why}", highlight=False, markup=False, soft_wrap=True, style="red"
            )

    def on_poll(self, running: Sequence[Running]) -> None:
        for one in running:
            name = one.folder.name
            if name not in self._under_way:
                self._under_way[name] = self._bars.add_task(name, total=None)
            self._bars.update(self._under_way[name], description=f"{name}: {one.phase()}")


def _report(
    settings: ExperimentSettings, sets: dict[str, SetRecord], orders: dict[Path, Order], failures: dict[str, str]
) -> Report:
    results: list[CellResult] = []
    for folder, order in orders.items():
        result = read_result(folder, order)
        if result is not None:
            results.append(result)
        else:
            failures.setdefault(order.name, "it left no result")
    return Report(
        title=settings.title,
        sets={name: record.about for name, record in sets.items()},
        cells=results,
        bm25={name: record.bm25 for name, record in sets.items() if record.bm25 is not None},
        failures=failures,
        settings=settings.model_dump(mode="json"),
        made_with=made_with(),
    )


def _write(report: Report, out: Path) -> None:
    from evaluation.figures import draw_all
    from evaluation.tables import write_report

    write_report(report, out, draw_all(report, out))
