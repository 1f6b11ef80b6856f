"""Answers per second at 16 concurrent requests: this engine against the authors' protocol on one model and same tokens.

    python -m benchmarks.decoding

The sides take turns in each round. The authors' protocol answers one question after the other, so its rate needs only a
share of the questions in each round; over all rounds it answers each of them once. `decoding.md` has the last figures.
"""

import asyncio
import os
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated

import torch
import typer

from benchmarks.decoding_scene import CITED, FULL, PASSAGE_TOKENS, PLAIN, SMOKE, Scene, Size, make_scene, schedule
from benchmarks.decoding_sides import answer_as_the_authors, answer_together
from service.engines.transformers import TransformersEngine

LIBRARIES = ("torch", "transformers", "faiss-cpu")
TARGETS = {1: 2.5, 4: 4.0}


@dataclass
class Figures:
    """Answers per second of each round."""

    lookups: int
    ours: list[float] = field(default_factory=list)
    authors: list[float] = field(default_factory=list)
    compared: int = 0
    different: int = 0

    @property
    def ratios(self) -> list[float]:
        """How many times as many answers, round by round."""
        return [ours / authors for ours, authors in zip(self.ours, self.authors, strict=True)]


def main(
    smoke: Annotated[bool, typer.Option(help="A tiny model and few questions: does it run?")] = False,
    threads: Annotated[int, typer.Option(help="Threads of torch, for both sides.")] = 2,
) -> None:
    """Measure and print the table."""
    torch.set_num_threads(threads)
    size = SMOKE if smoke else FULL
    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(size, Path(folder) / "index")
        figures = [asyncio.run(measure(scene, size, lookups)) for lookups in TARGETS]
        scene.store.close()
    typer.echo(report(figures, scene, threads))
    if any(each.different for each in figures):
        typer.echo("The sides gave different tokens: the rates do not compare.", err=True)
        raise typer.Exit(1)


async def measure(scene: Scene, size: Size, lookups: int) -> Figures:
    """Both sides in turn, after a warm-up of each."""
    shape = schedule(scene.gen.codec.control, scene.gen.codec.eos_id, lookups)
    figures = Figures(lookups)
    engine = TransformersEngine(scene.gen, max_sessions=size.questions)
    await engine.start()
    await answer_together(engine, scene, shape)
    answer_as_the_authors(scene, scene.questions[0], shape)
    for turn in range(size.rounds):
        share = range(turn, len(scene.questions), size.rounds)
        started = perf_counter()
        expected = {index: answer_as_the_authors(scene, scene.questions[index], shape) for index in share}
        figures.authors.append(len(share) / (perf_counter() - started))
        started = perf_counter()
        answers = await answer_together(engine, scene, shape)
        figures.ours.append(len(answers) / (perf_counter() - started))
        figures.compared += len(share)
        figures.different += sum(answers[index] != tokens for index, tokens in expected.items())
    await engine.stop()
    return figures


def report(figures: Sequence[Figures], scene: Scene, threads: int) -> str:
    """The figures as Markdown, with what they were measured on."""
    parameters = sum(weight.numel() for weight in scene.gen.model.parameters()) / 1e6
    lines = [
        f"Random Llama of {parameters:.0f}M parameters, fp32; {len(scene.questions)} concurrent questions; "
        f"{PASSAGE_TOKENS}-token passages; {PLAIN} + {CITED} free tokens for each lookup.",
        "",
        "| lookups an answer | this engine, answers/s | authors' protocol, answers/s | ratio | same tokens |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.lookups} | {spread(each.ours)} | {spread(each.authors)} | {spread(each.ratios)} "
        f"(target {TARGETS[each.lookups]}) | {each.compared - each.different} of {each.compared} answers |"
        for each in figures
    ]
    lines += ["", f"Median of {len(figures[0].ours)} rounds (least to most). {machine(threads, LIBRARIES)}"]
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """Median, least and most."""
    return f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def machine(threads: int, libraries: Sequence[str]) -> str:
    """What was measured on and with, in one sentence."""
    gpu = f"{torch.cuda.get_device_name()}; " if torch.cuda.is_available() else ""
    versions = ", ".join(f"{name} {version(name)}" for name in libraries)
    return (
        f"{gpu}{processor()}; {threads} threads; Python {platform.python_version()}, {versions}; "
        f"load average at the end {os.getloadavg()[0]:.1f}."
    )


def processor() -> str:
    """The machine in a few words."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.is_file() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    units = [unit for unit in ("avx2", "avx512f", "amx_tile") if f" {unit} " in text]
    return f"{os.cpu_count()} cores of {names[0] if names else platform.machine()} ({', '.join(units)})"


if __name__ == "__main__":
    typer.run(main)
