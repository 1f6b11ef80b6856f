"""What the HTTP layer costs, and what load and vanishing clients do to a service.

    python -m benchmarks.service http       # the engine in process against the same through HTTP
    python -m benchmarks.service load       # 64 clients for two minutes, a rebuild published every five seconds
    python -m benchmarks.service hangups    # 1,000 clients that vanish

Each starts its own `cosup serve` on this machine. `service.md` has the last figures.
"""

import asyncio
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer

from benchmarks.decoding import machine, spread
from benchmarks.service_hangups import HangUps, run_hangups
from benchmarks.service_http import IN_PROCESS, Measured, measure, options_of
from benchmarks.service_index import RebuiltIndex
from benchmarks.service_load import Load, run_load
from benchmarks.service_scene import CLIENTS, SMALL, TOKENS, WHOLE, make_served_scene
from cosup.child_service import ChildService, child_service

Result = TypeVar("Result")

app = typer.Typer(add_completion=False, help=__doc__)

LIBRARIES = ("torch", "fastapi", "starlette", "uvicorn", "uvloop", "sse-starlette")
ADDED_MS, OF_IN_PROCESS = 5.0, 0.95  # targets
GROWTH_MB = 16.0  # what an allocator may still take after a quarter of the time

Pair = Annotated[Path, typer.Option(help="The pair that is served.")]
Threads = Annotated[int, typer.Option(help="Threads of torch in the service and here.")]
Smoke = Annotated[bool, typer.Option(help="A small size: does it run?")]
NANO = Path("models/nano")


@app.command()
def http(
    smoke: Smoke = False,
    threads: Threads = 1,
    engine: Annotated[str, typer.Option(help="What decodes on both sides: transformers or vllm.")] = "transformers",
) -> None:
    """Measure what HTTP adds at 16 concurrent questions."""
    measured = SMALL if smoke else WHOLE
    with tempfile.TemporaryDirectory() as folder:
        scene = make_served_scene(measured, Path(folder))

        def run(service: ChildService) -> dict[str, Measured]:
            return asyncio.run(measure(service, scene, measured, threads, engine))

        sides = with_service(run, scene.pair, scene.index, threads, Path(folder), engine)
    typer.echo(
        f"Random Llama of {scene.parameters / 1e6:.0f}M parameters, {CLIENTS} clients, "
        f"{len(scene.questions)} questions a round; one lookup or more, {TOKENS[0]} to {TOKENS[-1]} tokens an answer.\n"
    )
    typer.echo(http_table(sides))
    typer.echo(f"\nMedian of {measured.rounds} rounds (least to most). {machine(threads, LIBRARIES)}")


def http_table(sides: dict[str, Measured]) -> str:
    """The figures as Markdown."""
    alone = sides[IN_PROCESS]
    lines = [
        "| side | tokens/s | of in process | whole answer, ms | outside the engine, ms | added, ms | same answers |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, side in sides.items():
        ratios = [one / two for one, two in zip(side.rates, alone.rates, strict=True)]
        same = sum(one.answer == two.answer for one, two in zip(side.asked, alone.asked, strict=True))
        lines.append(
            f"| {name} | {spread(side.rates)} | {spread(ratios)} | {side.latency_ms:.0f} | {side.outside_ms:.2f} | "
            f"{side.outside_ms - alone.outside_ms:.2f} | {same} of {len(side.asked)} |"
        )
    return "\n".join([*lines, "", f"Targets: {ADDED_MS:g} ms added, {OF_IN_PROCESS} of the rate in process."])


@app.command()
def load(
    smoke: Smoke = False,
    pair: Pair = NANO,
    clients: Annotated[int, typer.Option(help="Clients that stream, each again when it is answered.")] = 64,
    seconds: Annotated[float, typer.Option(help="How long they do.")] = 120,
    every_s: Annotated[float, typer.Option(help="Seconds between two rebuilds that are published.")] = 5,
    threads: Threads = 1,
) -> None:
    """Load a service while its index is rebuilt; the exit code is 1 where anything went wrong."""
    clients, seconds, every_s = (4, 4.0, 1.0) if smoke else (clients, seconds, every_s)
    with tempfile.TemporaryDirectory() as folder:
        index = RebuiltIndex(pair, Path(folder) / "rebuilt", num_passages=64)

        def run(service: ChildService) -> Load:
            return asyncio.run(run_load(service, index, clients=clients, seconds=seconds, every_s=every_s))

        came = with_service(run, pair, index.folder, threads, Path(folder))
    typer.echo(load_table(came))
    typer.echo(f"\n{machine(threads, LIBRARIES)}")
    fail_where(came.failures, came.mixed, came.left_open, came.growth_mb > GROWTH_MB and not smoke)


def load_table(came: Load) -> str:
    """The figures as Markdown."""
    early, late = came.quarter(1), came.quarter(3)
    rows: list[tuple[str, object]] = [
        ("clients, seconds", f"{came.clients}, {came.seconds:.0f}"),
        ("answers", f"{len(came.answers)} ({len(came.answers) / came.seconds:.1f} a second)"),
        ("lookups", sum(answer.retrievals for answer in came.answers)),
        ("failed requests", len(came.failures)),
        ("versions published, answered from", f"{came.published}, {len(came.versions)}"),
        ("answers that mix versions", len(came.mixed)),
        ("first text, ms: p50, p99", _percentiles([answer.first_s for answer in came.answers if answer.first_s])),
        ("whole answer, ms: p50, p99", _percentiles([answer.latency_s for answer in came.answers])),
        ("resident memory, MB: second quarter, last", f"{early.rss_mb:.1f}, {late.rss_mb:.1f}"),
        ("growth, MB", f"{came.growth_mb:+.1f} (at most {GROWTH_MB:g})"),
        ("open files: second quarter, last", f"{early.open_files}, {late.open_files}"),
        ("threads: second quarter, last", f"{early.threads}, {late.threads}"),
        ("files of older versions in use at the end", len(came.left_open)),
    ]
    return _table(rows)


@app.command()
def hangups(
    smoke: Smoke = False,
    pair: Pair = NANO,
    clients: Annotated[int, typer.Option(help="Clients that vanish.")] = 1000,
    threads: Threads = 1,
) -> None:
    """Have clients vanish at every stage; the exit code is 1 where anything of them stays."""
    with tempfile.TemporaryDirectory() as folder:
        index = RebuiltIndex(pair, Path(folder) / "rebuilt", num_passages=64)

        def run(service: ChildService) -> HangUps:
            return asyncio.run(run_hangups(service, 16 if smoke else clients))

        came = with_service(run, pair, index.folder, threads, Path(folder))
    typer.echo(hangups_table(came))
    typer.echo(f"\n{machine(threads, LIBRARIES)}")
    fail_where(came.sessions, came.left_files, came.left_threads, came.ended != came.clients, not came.answered)


def hangups_table(came: HangUps) -> str:
    """The figures as Markdown."""
    rows: list[tuple[str, object]] = [
        *((f"clients that vanished {stage}", number) for stage, number in sorted(came.stages.items())),
        ("requests that the service counts as ended", f"{came.ended} of {came.clients}"),
        ("sessions and waiting requests left", came.sessions),
        ("open files: before, after", f"{came.before.open_files}, {came.after.open_files}"),
        ("threads: before, after", f"{came.before.threads}, {came.after.threads}"),
        ("resident memory, MB: before, after", f"{came.before.rss_mb:.1f}, {came.after.rss_mb:.1f}"),
        ("a question afterwards", "answered" if came.answered else "not answered"),
    ]
    return _table(rows)


def with_service(
    run: Callable[[ChildService], Result],
    pair: Path,
    index: Path,
    threads: int,
    folder: Path,
    engine: str = "transformers",
) -> Result:
    """What a measurement gives that needs a running service."""
    options = ["--pair", str(pair), "--index", str(index), "--port", "0", "--threads", str(threads), "--watch-s", "0.5"]
    for name, value in options_of(engine).items():
        options += ["--vllm", f"{name}={json.dumps(value)}"]
    with child_service([*options, "--engine", engine], folder / "log") as service:
        service.wait_until_ready()
        return run(service)


def fail_where(*wrong: object) -> None:
    """End with exit code 1 where anything of this is not empty, zero or false."""
    if any(wrong):
        typer.echo("Something went wrong: see the table.", err=True)
        raise typer.Exit(1)


def _table(rows: Sequence[tuple[str, object]]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _percentiles(seconds: Sequence[float]) -> str:
    return ", ".join(f"{1000 * value:.0f}" for value in np.percentile(seconds or [0.0], (50, 99)))


if __name__ == "__main__":
    app()
