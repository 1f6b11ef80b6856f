"""Peak memory of one step in a process of its own: what `benchmarks.training` starts for each figure.

    python -m benchmarks.training_memory --side ours
    python -m benchmarks.training_memory --side grad-cache --rows 4096

It prints one JSON object, in MiB: `loaded`, what the process holds before the step, and `peak`, the most during it.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.training_scene import SIZES, Mix, collated, models, sequences
from benchmarks.training_sides import SIDES, Work
from training import grad_cache

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
PASSAGE_TOKENS = 48
"""Tokens of a passage with GradCache: what the pilot of large contrastive batches read of each."""


def main(
    side: Annotated[str, typer.Option(help="ours, authors or grad-cache.")],
    size: Annotated[str, typer.Option(help="Models and batch.")] = "nano",
    mix: Annotated[str, typer.Option(help="Lengths.")] = "textbooks",
    rows: Annotated[int, typer.Option(help="Pairs of the batch with GradCache.")] = 256,
    chunk_rows: Annotated[int, typer.Option(help="Rows of a chunk with GradCache.")] = 64,
    answers_only: Annotated[bool, typer.Option(help="L_NTP without passage tokens.")] = False,
    threads: Annotated[int, typer.Option(help="Threads of torch.")] = 1,
) -> None:
    """Compute one step, the first, and print what it took."""
    torch.set_num_threads(threads)
    chosen: Mix = "textbooks" if mix == "textbooks" else "long answers"
    if side == "grad-cache":
        step = _pairs(size, rows, chunk_rows)
    else:
        model = models(SIZES[size], attention="eager")
        step = SIDES[side](model, Work(*sequences(SIZES[size], chosen), passage_tokens_in_ntp=not answers_only))
    loaded = _now("VmRSS")
    CLEAR.write_text("5")  # forgets the peak so far
    step()
    typer.echo(json.dumps({"loaded": loaded, "peak": _now("VmHWM")}))


def peak(*arguments: str) -> dict[str, float]:
    """The figures of a child process with these options."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.training_memory", *arguments], check=True, capture_output=True, text=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _pairs(size: str, rows: int, chunk_rows: int) -> Callable[[], object]:
    """A step over pairs of a question and a passage, in chunks; both losses, sequences cut at their `[Ret]`."""
    made, passages = sequences(replace(SIZES[size], batch=rows), "textbooks")
    cut = [sequence.cut_after_first_lookup() for sequence in made]
    first = {name: passages[name][:PASSAGE_TOKENS] for sequence in cut for name in sequence.passages}
    batch = collated(cut, first, passage_tokens_in_ntp=True)
    model = models(SIZES[size], attention="eager", similarity="cosine")
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    return lambda: grad_cache.backward(model, batch, chunk_rows=chunk_rows)


def _now(name: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    typer.run(main)
