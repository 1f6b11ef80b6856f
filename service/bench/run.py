"""`cosup bench-serve`, from its settings to its table."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import typer

from semiparametric.errors import InputError
from service.bench.load import load
from service.bench.outcome import Outcome
from service.bench.questions import read_questions
from service.bench.report import Figures, figures_of, table_of
from service.bench.settings import BenchServeSettings


def bench_serve(settings: BenchServeSettings) -> None:
    """Load a service and print what its clients saw; after Ctrl-C, what they had seen until then.

    Raises:
        InputError: The questions cannot be read, no service is ready at the address, or `out` has no folder.
        KeyboardInterrupt: After the table, where Ctrl-C ended the load.
    """
    questions = read_questions(settings.questions)
    if settings.out is not None and not settings.out.parent.is_dir():
        raise InputError("there is no such folder", where=str(settings.out.parent), remedy="Make it first")
    outcomes: list[Outcome] = []
    try:
        asyncio.run(load(settings, questions, outcomes.append))
    finally:
        if outcomes:
            figures = figures_of(outcomes)
            typer.echo(table_of(figures))
            if settings.out is not None:
                _save(settings.out, settings, figures, outcomes)


def _save(out: Path, settings: BenchServeSettings, figures: Figures, outcomes: Sequence[Outcome]) -> None:
    document = {
        "settings": settings.model_dump(mode="json"),  # the key is shown as stars
        "figures": figures.model_dump(),
        "requests": [asdict(outcome) for outcome in outcomes],
    }
    out.write_text(json.dumps(document, indent=1), "utf-8")
