"""`cosup eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from evaluation.settings import EvalSettings
from semiparametric.command import one_line_errors

if TYPE_CHECKING:
    from evaluation.run import BuildIndex


class ConfigOrCommand(TyperGroup):
    """`cosup eval CONFIG` runs an evaluation; any other word names a command."""

    default = "run"

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names, else `run` with all words."""
        if args and args[0] not in self.commands:
            args = [self.default, *args]
        return super().resolve_command(ctx, args)


def make_eval_app(build_index: "BuildIndex") -> typer.Typer:
    """The commands under `cosup eval`; `build_index` builds an index of a set that names its corpus."""
    app = typer.Typer(
        cls=ConfigOrCommand,
        help="Measure pairs: `cosup eval CONFIG.yaml` asks and scores, `cosup eval compare A B` compares.",
        no_args_is_help=True,
    )

    @app.command(
        "run",
        help="Ask a pair or a service, and the baselines beside it, the questions of a config, and write the report, "
        "its plots and a page to browse. Stopped, the same command goes on. `cosup eval CONFIG` is the same.",
    )
    def run(
        config: Annotated[Path, typer.Argument(help="YAML file with the settings.", metavar="CONFIG")],
        out: Annotated[Path | None, typer.Option(help="Folder of the evaluation (that of the config if none).")] = None,
        pair: Annotated[Path | None, typer.Option(help="Folder of the pair to ask.")] = None,
        url: Annotated[str | None, typer.Option(help="Address of a running service to ask instead.")] = None,
        device: Annotated[str | None, typer.Option(help="Where Gen and the judge run: cpu, cuda.")] = None,
        judge: Annotated[str | None, typer.Option(help="Folder of an NLI model, or lexical.")] = None,
        limit: Annotated[int | None, typer.Option(help="Questions of each set, at most, a fixed sample.")] = None,
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Check all settings and sets, and stop.")] = False,
    ) -> None:
        given: dict[str, Any] = {"out": out, "pair": pair, "url": url, "device": device, "judge": judge}
        with one_line_errors():
            settings = EvalSettings.resolve({n: v for n, v in given.items() if v is not None}, config)
            settings = settings.limited(limit)
            if dry_run:
                _check(settings)
            else:
                _run(settings, build_index)

    @app.command(
        "compare",
        help="Paired bootstrap of two evaluations on the questions that both answered: is A better than B? Each is the "
        "folder of a `cosup eval`, or FOLDER:SYSTEM.",
    )
    def compare(
        first: Annotated[str, typer.Argument(help="FOLDER or FOLDER:SYSTEM; the pair if none.", metavar="A")],
        second: Annotated[str, typer.Argument(help="The same.", metavar="B")],
        resamples: Annotated[int, typer.Option(min=100, help="Bootstrap samples (number).")] = 1000,
        out: Annotated[Path | None, typer.Option(help="File to write the comparison to, as Markdown.")] = None,
    ) -> None:
        with one_line_errors():
            _compare(first, second, resamples, out)

    return app


def _check(settings: EvalSettings) -> None:
    from evaluation.datasets import read_questions
    from evaluation.shown import check_metrics

    for name, one in settings.datasets.items():
        questions = read_questions(name, one)
        check_metrics(name, one, questions)
        typer.echo(f"{name}: {len(questions)} questions of {one.file}")


def _run(settings: EvalSettings, build_index: "BuildIndex") -> None:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from evaluation.outputs import write_outputs
    from evaluation.run import Watching, evaluate

    columns = (TextColumn("answers"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("answers", total=None)
        watching = Watching(
            on_plan=lambda total, known: bar.update(task, total=total, completed=known),
            on_answer=lambda: bar.advance(task),
        )
        sets = evaluate(settings, build_index=build_index, watching=watching)
    write_outputs(sets, settings)
    typer.echo(f"The report is {settings.out / 'report.md'}, the page to browse {settings.out / 'index.html'}")


def _compare(first: str, second: str, resamples: int, out: Path | None) -> None:
    from evaluation.compare import Side, compare, comparison_markdown
    from semiparametric.replacing import write_whole

    sides = Side.of(first), Side.of(second)
    told = comparison_markdown(*sides, compare(*sides, resamples=resamples))
    if out is not None:
        write_whole(out, told)
    typer.echo(told)
