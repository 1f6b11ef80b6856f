"""`cosup experiment`."""

from pathlib import Path
from typing import Annotated

import typer

from cosup.experiment.settings import ExperimentSettings
from semiparametric.command import one_line_errors


def add_commands(app: typer.Typer) -> None:
    """Add `experiment` to the `cosup` command."""

    @app.command(
        "experiment",
        help="Train a grid of pairs (supervisions, lambda, Embseq, seeds), measure each on the same questions, and "
        "write report.md, report.json and plots. Run again, it skips finished cells and goes on with the others.",
    )
    def experiment(
        config: Annotated[Path, typer.Argument(help="YAML file with the experiment's settings.", metavar="CONFIG")],
        out: Annotated[Path | None, typer.Option(help="Folder of the experiment (that of the config if none).")] = None,
        jobs: Annotated[
            int | None,
            typer.Option(help="Cells at a time (if none: one for each GPU, one where there is none)."),
        ] = None,
        keep: Annotated[
            bool | None,
            typer.Option("--keep/--no-keep", help="Keep checkpoints and indexes of finished cells (default: no)."),
        ] = None,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Check all settings, name the cells, and stop.")
        ] = False,
    ) -> None:
        given = {"out": out, "jobs": jobs, "keep": keep}
        with one_line_errors():
            settings = ExperimentSettings.resolve({n: v for n, v in given.items() if v is not None}, config)
            if dry_run:
                _name_cells(settings)
                return
            _run(settings)


def _name_cells(settings: ExperimentSettings) -> None:
    from cosup.experiment.grid import cells_of

    for cell in cells_of(settings):
        typer.echo(cell.name)


def _run(settings: ExperimentSettings) -> None:
    from rich.console import Console

    from cosup.experiment.run import run_experiment

    report = run_experiment(settings, Console(stderr=True))
    typer.echo(f"The report is {settings.out / 'report.md'}")
    if report.failures:
        for name, why in report.failures.items():
            typer.echo(f"Failed: {name}: {why}", err=True)
        raise typer.Exit(1)
