"""`cosup train`."""

import os

import typer

from semiparametric.command import settings_command
from training.settings import TrainSettings


def add_commands(app: typer.Typer) -> None:
    """Put `train` into the `cosup` command."""

    @settings_command(
        app,
        "train",
        TrainSettings,
        config_argument=True,
        help="Train a pair: L_NTP + lambda * L_NSP, from a YAML file.",
    )
    def train(settings: TrainSettings) -> None:
        from training.run import train as run

        pair = run(settings)
        if os.environ.get("RANK", "0") == "0":  # torchrun starts several of us
            typer.echo(f"The pair is in {pair}")
