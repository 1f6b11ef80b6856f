"""`cosup eval`: stands here because an evaluation may build the index that it asks, which only index_builder can."""

from pathlib import Path

import typer

from evaluation.cli import make_eval_app


def add_commands(app: typer.Typer) -> None:
    """Put `eval` into the `cosup` command."""
    app.add_typer(make_eval_app(_build_index), name="eval")


def _build_index(pair: Path, corpus: Path, index: Path, device: str) -> None:
    from index_builder.build import build_index
    from index_builder.settings import BuildSettings

    build_index(BuildSettings.resolve({"pair": pair, "corpus": [corpus], "out": index, "device": device}))
