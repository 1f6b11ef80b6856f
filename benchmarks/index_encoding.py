r"""Encoding passages: `cosup index build` against sentence-transformers and the authors' loader, on the same weights.

    python -m benchmarks.index_encoding --corpus CORPUS.jsonl.gz
    python -m benchmarks.index_encoding --corpus CORPUS.jsonl.gz --count 100000 --device cuda --dtype bfloat16 \
        --batch-tokens 65536

The sides take turns in each round; peak memory is that of a process of its own for each side. It needs the extra
`bench`. `index_encoding.md` has the last figures.
"""

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated, cast

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from benchmarks.decoding import machine, spread
from benchmarks.index_encoding_sides import SIDES, Ours, Work, make_pair
from benchmarks.training import matrix_rate
from index_builder.devices import resolved_batch_tokens
from index_builder.encoding import EncodingReport
from index_builder.encoding_settings import EncodingSettings
from semiparametric.pair import load_embseq

LIBRARIES = ("torch", "transformers", "sentence-transformers")
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.05}
TARGETS = {
    "sentence-transformers, same tokens": 1.0,
    "sentence-transformers, batch of 32": 1.0,
    "authors": 3.0,
}
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def main(
    corpus: Annotated[list[Path], typer.Option(help="A .jsonl or .jsonl.gz corpus; repeatable.")],
    count: Annotated[int, typer.Option(help="Passages of each corpus.")] = 2000,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float32 or bfloat16, for all sides.")] = "float32",
    our_dtype: Annotated[str | None, typer.Option(help="For ours alone; if none, that of all sides.")] = None,
    batch_tokens: Annotated[
        int | None, typer.Option(help="Tokens of a batch, but of the authors' way; if none, our default.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Threads of torch, for all sides.")] = 1,
    rounds: Annotated[int, typer.Option(help="Runs of each side.")] = 3,
    processor_time: Annotated[
        bool, typer.Option(help="Measure processor time, not the clock: for a crowded machine, with --threads 1.")
    ] = False,
    memory: Annotated[bool, typer.Option(help="Measure peak memory too, of a quarter and of all.")] = True,
    peak_of: Annotated[str | None, typer.Option(help="Run this side once and print its peak memory.")] = None,
) -> None:
    """Measure and print the tables."""
    logging.disable(logging.INFO)
    torch.set_num_threads(threads)
    clock = process_time if processor_time else perf_counter
    at_once = resolved_batch_tokens(EncodingSettings(batch_tokens=batch_tokens), device)
    works = [Work(path, count, device, dtype, our_dtype or dtype, at_once) for path in corpus]
    if peak_of:
        typer.echo(json.dumps(peak_here(peak_of, works[0])))
        return
    with tempfile.TemporaryDirectory() as folder:
        pair = make_pair(Path(folder))
        rows, shares = [], []
        for work in works:
            seconds, report = measure(pair, work, rounds, clock)
            rows += speed_rows(work, seconds, report.padding_share)
            shares.append(share_of_matrix_rate(pair, work, report.tokens / median(seconds["ours"]), clock))
    typer.echo(speed_table(rows, rounds))
    typer.echo("\n".join(["", *shares]))
    if memory:
        typer.echo(memory_table(works[0], threads))
    typer.echo(f"\n{machine(threads, LIBRARIES)}")


def measure(
    pair: Path, work: Work, rounds: int, clock: Callable[[], float]
) -> tuple[dict[str, list[float]], EncodingReport]:
    """Seconds of each side and round, after a warm-up in which their vectors are compared; and what ours counted."""
    sides = {name: side(pair, work) for name, side in SIDES.items()}
    for side in sides.values():
        side.run()
    tolerance = max(TOLERANCE[work.dtype], TOLERANCE[work.our_dtype])
    compare({name: side.vectors() for name, side in sides.items()}, tolerance)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            started = clock()
            side.run()
            seconds[name].append(clock() - started)
    ours = cast(Ours, sides["ours"])
    return seconds, ours.report


def compare(vectors: dict[str, NDArray[np.float32]], tolerance: float) -> None:
    """Refuse to compare the speed of sides that do not compute the same."""
    for name, found in vectors.items():
        difference = float(np.abs(found - vectors["ours"]).max())
        if difference > tolerance:
            typer.echo(f"The vectors of {name} differ by {difference:.1e}: the rates do not compare.", err=True)
            raise typer.Exit(1)


def speed_rows(work: Work, seconds: dict[str, list[float]], padding_share: float) -> list[str]:
    """A line for each side."""
    rows = []
    for name, taken in seconds.items():
        rates = spread([work.count / second for second in taken])
        ratio, target = "", ""
        if name in TARGETS:
            pairs = zip(seconds["ours"], taken, strict=True)
            ratio, target = spread([theirs / ours for ours, theirs in pairs]), f"{TARGETS[name]:.1f}"
        padding = f"{100 * padding_share:.1f} %" if name == "ours" else ""
        rows.append(f"| {work.corpus.parent.name}, {work.count} | {name} | {rates} | {ratio} | {target} | {padding} |")
    return rows


def share_of_matrix_rate(pair: Path, work: Work, tokens_per_second: float, clock: Callable[[], float]) -> str:
    """Tokens/s of ours as a share of what one large matrix product reaches on the same device just now."""
    rate = matrix_rate(work.device, clock, bf16=work.our_dtype == "bfloat16")
    model = load_embseq(pair).model
    multiplied = sum(weight.numel() for name, weight in model.named_parameters() if "embeddings" not in name)
    share = 2 * multiplied * tokens_per_second / 1e9 / rate
    return (
        f"{work.corpus.parent.name}: ours reads {tokens_per_second:.0f} tokens/s, {100 * share:.0f} % of the matrix "
        f"rate of {rate:.0f} Gflop/s (two operations for each token and each of {multiplied / 1e6:.1f}M weights; "
        "attention not counted)."
    )


def peak_here(name: str, work: Work) -> dict[str, float]:
    """MiB that this process held before a side ran, and the most while it ran."""
    with tempfile.TemporaryDirectory() as folder:
        pair = make_pair(Path(folder))
        SIDES[name](pair, replace(work, count=min(work.count, 64))).run()  # what libraries load at their first use
        loaded = resident("VmRSS")
        CLEAR.write_text("5")  # forgets the peak so far
        SIDES[name](pair, work).run()
        return {"loaded": loaded, "peak": resident("VmHWM")}


def memory_table(work: Work, threads: int) -> str:
    """Peak memory of each side in a process of its own, at a quarter of the passages and at all of them."""
    lines = ["", f"| side | {work.count // 4} passages, MiB | {work.count}, MiB | MiB more |", "|---|---|---|---|"]
    for name in SIDES:
        few, all_ = (peak(name, replace(work, count=count), threads) for count in (work.count // 4, work.count))
        lines.append(f"| {name} | {few:.0f} | {all_:.0f} | {all_ - few:.0f} |")
    return "\n".join(lines)


def peak(name: str, work: Work, threads: int) -> float:
    """MiB that a side takes at the most, beside what its process held before."""
    options = {"corpus": work.corpus, "count": work.count, "device": work.device, "dtype": work.dtype}
    options |= {"our-dtype": work.our_dtype, "batch-tokens": work.batch_tokens, "threads": threads, "peak-of": name}
    arguments = [part for option, value in options.items() for part in (f"--{option}", str(value))]
    command = [sys.executable, "-m", "benchmarks.index_encoding", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return float(found["peak"] - found["loaded"])


def resident(name: str) -> float:
    """A line of this process's status, in MiB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def speed_table(rows: list[str], rounds: int) -> str:
    """The table of rates."""
    lines = [
        "| corpus, passages | side | passages/s | ours is faster by | target | padding |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        f"Median of {rounds} rounds (least to most); ratios within rounds.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    typer.run(main)
