"""The `cosup` command: one Typer app per package under one roof."""

from importlib.metadata import version
from typing import Annotated

import typer

from cosup.demo import add_commands as add_demo_commands
from cosup.evaluating import add_commands as add_eval_commands
from cosup.experiment.cli import add_commands as add_experiment_commands
from cosup.mining import add_commands as add_mining_commands
from index_builder.cli import index_app
from index_builder.corpus_cli import corpus_app
from service.cli import add_commands as add_service_commands
from training.cli import add_commands as add_training_commands
from training.examples.cli import examples_app
from training.importing.cli import pair_app

app = typer.Typer(
    help="Train, index, serve and ask a language model that retrieves with its own hidden state.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
add_service_commands(app)
add_training_commands(app)
add_demo_commands(app)
add_experiment_commands(app)
add_eval_commands(app)
add_mining_commands(examples_app)
app.add_typer(corpus_app, name="corpus", help="Make a corpus.")
app.add_typer(examples_app, name="examples", help="Make question examples to train and evaluate with.")
app.add_typer(index_app, name="index", help="Build and inspect an index.")
app.add_typer(pair_app, name="pair", help="Import and inspect pairs.")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cosup {version('cosup')}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself; it has no work of its own."""


def main() -> None:
    """The console script."""
    app()
