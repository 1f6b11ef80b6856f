"""One co-supervised step: tokens/s and peak memory of `cosup train` against the authors' way, same models and batch.

    python -m benchmarks.training                # about four minutes on two free cores
    python -m benchmarks.training --grad-cache   # peak memory of contrastive batches of 256 and 4,096

The sides take turns in each round; peak memory is that of a process of its own for each side. `training.md` has the
last figures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter, process_time
from typing import Annotated

import torch
import typer
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.decoding import machine, spread
from benchmarks.training_memory import peak
from benchmarks.training_scene import SIZES, Mix, models, sequences
from benchmarks.training_sides import SIDES, Work

LIBRARIES = ("torch", "transformers")

CASES: list[tuple[Mix, bool]] = [("textbooks", True), ("long answers", True), ("long answers", False)]
"""Lengths, and whether `L_NTP` counts passage tokens (the authors' default)."""
TARGET, TOLERANCE, BATCHES = 1.5, 1e-4, (256, 4096)

Clock = Callable[[], float]


@dataclass
class Figures:
    """What one side took: seconds of each round, the loss, billions of operations of a step, MiB."""

    seconds: list[float] = field(default_factory=list)
    loss: float = 0.0
    gflop: float = 0.0
    loaded: float = 0.0
    peak: float = 0.0


def main(
    smoke: Annotated[bool, typer.Option(help="Tiny models and batch: does it run?")] = False,
    size: Annotated[str, typer.Option(help="nano; few, with a quarter of its batch; or big, for a GPU.")] = "nano",
    grad_cache: Annotated[bool, typer.Option(help="Measure the memory of contrastive batches instead.")] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    bf16: Annotated[bool, typer.Option(help="Compute in bfloat16, both sides.")] = False,
    threads: Annotated[int, typer.Option(help="Threads of torch, for both sides.")] = 2,
    rounds: Annotated[int, typer.Option(help="Steps of each side.")] = 5,
    processor_time: Annotated[
        bool, typer.Option(help="Measure processor time, not the clock: for a crowded machine, with --threads 1.")
    ] = False,
) -> None:
    """Measure and print the table."""
    torch.set_num_threads(threads)
    size = "smoke" if smoke else size
    clock = process_time if processor_time else perf_counter
    if grad_cache:
        typer.echo(report_memory(size, threads, smoke=smoke))
        return
    rate = matrix_rate(device, clock, bf16=bf16)
    rows, differing = [], []
    for mix, counted in CASES:
        work = Work(*sequences(SIZES[size], mix), counted, device, bf16)
        figures = measure(size, work, rounds, clock)
        if device == "cpu":
            add_memory(figures, size, mix, threads, answers_only=not counted)
        rows.append(row(mix, work, figures, rate))
        losses = [each.loss for each in figures.values()]
        differing += [mix] if abs(losses[0] - losses[1]) > TOLERANCE * abs(losses[1]) and not bf16 else []
    typer.echo(report(rows, size, rate, machine(threads, LIBRARIES), rounds))
    if differing:
        typer.echo(f"The sides have different losses ({', '.join(differing)}): the rates do not compare.", err=True)
        raise typer.Exit(1)


def measure(size: str, work: Work, rounds: int, clock: Clock = perf_counter) -> dict[str, Figures]:
    """Both sides in turn, after a warm-up of each in which operations are counted."""
    attention = "eager" if work.device == "cpu" else "sdpa"  # as `cosup train` chooses
    steps, figures = {}, {}
    for name, side in SIDES.items():
        steps[name] = side(models(SIZES[size], attention=attention).to(work.device), work)
        with FlopCounterMode(display=False) as counter:
            steps[name]()
        figures[name] = Figures(gflop=counter.get_total_flops() / 1e9)
    if work.device == "cuda":
        torch.cuda.synchronize()
    for _ in range(rounds):
        for name, step in steps.items():
            if work.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
                figures[name].loaded = torch.cuda.memory_allocated() / 2**20
            started = clock()
            figures[name].loss = step()
            figures[name].seconds.append(clock() - started)
            if work.device == "cuda":
                figures[name].peak = torch.cuda.max_memory_allocated() / 2**20
    return figures


def add_memory(figures: dict[str, Figures], size: str, mix: Mix, threads: int, *, answers_only: bool) -> None:
    """Peak memory of each side, in a process of its own."""
    for name, each in figures.items():
        options = ["--side", name, "--size", size, "--mix", mix, "--threads", str(threads)]
        found = peak(*options, *(["--answers-only"] if answers_only else []))
        each.loaded, each.peak = found["loaded"], found["peak"]


def matrix_rate(device: str, clock: Clock, *, bf16: bool) -> float:
    """Billions of operations a second of one large matrix product: the most this machine gives just now."""
    side = 1024 if device == "cpu" else 8192
    matrix = torch.randn(side, side, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    best = float("inf")
    for _ in range(8):
        started = clock()
        float((matrix @ matrix)[0, 0])
        best = min(best, clock() - started)
    return 2 * side**3 / best / 1e9


def row(mix: Mix, work: Work, figures: dict[str, Figures], rate: float) -> str:
    """One line of the table."""
    ours, authors = figures["ours"], figures["authors"]
    ratios = [theirs / mine for mine, theirs in zip(ours.seconds, authors.seconds, strict=True)]
    rates = [spread([work.tokens / second for second in each.seconds]) for each in (ours, authors)]
    shares = [f"{100 * each.gflop / median(each.seconds) / rate:.0f} %" for each in (ours, authors)]
    memory = [each.peak - each.loaded for each in (ours, authors)]
    counted = "all but the question" if work.passage_tokens_in_ntp else "answers"
    return (
        f"| {mix}, {counted} | {rates[0]} | {rates[1]} | {spread(ratios)} | {ours.gflop:.0f} / {authors.gflop:.0f} | "
        f"{' / '.join(shares)} | {memory[0]:.0f} / {memory[1]:.0f} | {ours.loss:.6f} / {authors.loss:.6f} |"
    )


def report(rows: Sequence[str], size: str, rate: float, measured_on: str, rounds: int) -> str:
    """The table, with what it was measured on."""
    model = models(SIZES[size], attention="eager")
    parameters = [sum(weight.numel() for weight in part.parameters()) / 1e6 for part in (model.gen, model.embseq)]
    lines = [
        f"Random Llamas, Gen of {parameters[0]:.1f}M parameters and Embseq of {parameters[1]:.1f}M; "
        f"{SIZES[size].batch} sequences a step. Of two figures the first is ours. Target of the ratio: {TARGET}.",
        "",
        "| lengths, labels that count | ours, tokens/s | authors' way, tokens/s | ratio | Gflop a step | "
        "share of the matrix rate | MiB of the step | loss |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Median of {rounds} rounds (least to most). Matrix rate {rate:.0f} Gflop/s. {measured_on}",
    ]
    return "\n".join(lines)


def report_memory(size: str, threads: int, *, smoke: bool) -> str:
    """Peak memory of contrastive batches with GradCache."""
    found = []
    for rows in (8, 64) if smoke else BATCHES:
        started = perf_counter()
        options = ["--side", "grad-cache", "--size", size, "--rows", str(rows), "--threads", str(threads)]
        found.append((rows, peak(*options), perf_counter() - started))
    lines = ["| pairs | loaded, MiB | peak, MiB | seconds, start included |", "|---|---|---|---|"]
    lines += [f"| {rows} | {each['loaded']:.0f} | {each['peak']:.0f} | {taken:.0f} |" for rows, each, taken in found]
    first, last = found[0][1]["peak"], found[-1][1]["peak"]
    lines += [
        "",
        f"The larger batch's peak is {100 * (last / first - 1):.1f} % above the smaller's. "
        f"{machine(threads, LIBRARIES)}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
