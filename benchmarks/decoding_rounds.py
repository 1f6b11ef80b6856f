"""The rounds of `benchmarks.decoding`: each side in turn, timed."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.decoding_authors import answer_as_the_authors
from benchmarks.decoding_scene import Scene, Size, schedule
from benchmarks.decoding_sides import Schedule, Watched, answer_together, prefill_alone
from service.decoding.engine import Engine

Engines = dict[str, Any]  # by side: `transformers`, and `vllm` where it is installed


def _lists() -> defaultdict[str, list[float]]:
    return defaultdict(list)


@dataclass
class Cell:
    """So many lookups an answer, so many clients: what each side did, round by round.

    rates: answers per second, by side.
    first_token_s: seconds to the first token, of every answer, by side.
    compared, different: answers whose tokens were compared with the authors' protocol, by side.
    """

    lookups: int
    clients: int
    rates: dict[str, list[float]] = field(default_factory=_lists)
    first_token_s: dict[str, list[float]] = field(default_factory=_lists)
    compared: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    different: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def ratios(self, side: str, other: str) -> list[float]:
        """How many times as many answers, round by round."""
        return [one / two for one, two in zip(self.rates[side], self.rates[other], strict=True)]


async def measure_cell(engines: Engines, scene: Scene, size: Size, lookups: int, clients: int) -> Cell:
    """All sides in turn, after a warm-up of each."""
    cell = Cell(lookups, clients)
    shape = schedule(scene.gen.codec.control, scene.gen.codec.eos_id, lookups)
    for turn in range(-1, size.rounds):
        measured = cell if turn >= 0 else Cell(lookups, clients)
        expected = _authors(measured, scene, range(max(turn, 0), clients, size.rounds), shape, clients == size.crowd)
        for side, engine in engines.items():
            answers = await _together(measured, side, engine, scene, shape)
            for index, tokens in expected.items():
                measured.compared[side] += 1
                measured.different[side] += answers[index].tokens != tokens
        if "vllm" in engines:
            await _plainly(measured, engines["vllm"], scene, len(shape))
    return cell


def _authors(cell: Cell, scene: Scene, share: range, shape: Schedule, wanted: bool) -> dict[int, list[int]]:
    """The tokens of the answers to a share of the questions, one after the other."""
    if not wanted:
        return {}
    started = perf_counter()
    answers = {index: answer_as_the_authors(scene, scene.questions[index], shape) for index in share}
    cell.rates["authors"].append(len(answers) / (perf_counter() - started))
    return answers


async def _together(cell: Cell, side: str, engine: Any, scene: Scene, shape: Schedule) -> list[Watched]:
    questions = scene.questions[: cell.clients]
    await _forget(side, engine)
    started = perf_counter()
    forced = None if side == "vllm" else shape  # vLLM's side is forced in its own process
    answers = await answer_together(engine, scene, questions, cell.lookups, forced)
    cell.rates[side].append(len(answers) / (perf_counter() - started))
    cell.first_token_s[side] += [answer.first_token_s for answer in answers]
    return answers


async def _plainly(cell: Cell, engine: Any, scene: Scene, num_tokens: int) -> None:
    from benchmarks.decoding_vllm import write_plainly

    await _forget("vllm", engine)
    started = perf_counter()
    seconds = await write_plainly(engine, scene, scene.questions[: cell.clients], cell.lookups, num_tokens)
    cell.rates["plain"].append(cell.clients / (perf_counter() - started))
    cell.first_token_s["plain"] += seconds


async def _forget(side: str, engine: Any) -> None:
    """Empty vLLM's prefix cache: what it kept of an earlier turn is nothing that users would have."""
    if side == "vllm":
        await engine.llm().reset_prefix_cache()


async def measure_first_tokens(engines: Engines, scene: Scene, times: int) -> dict[str, tuple[float, float]]:
    """Median seconds to the first token after a lookup's passage, and after the same passage as a whole context."""
    shape = schedule(scene.gen.codec.control, scene.gen.codec.eos_id, 1)
    return {side: await _first_token(side, engine, scene, shape, times) for side, engine in engines.items()}


async def _first_token(side: str, engine: Engine, scene: Scene, shape: Schedule, times: int) -> tuple[float, float]:
    forced = None if side == "vllm" else shape
    after: list[float] = []
    alone: list[float] = []
    for turn in range(times):
        await _forget(side, engine)
        question = scene.questions[turn % len(scene.questions)]
        after += (await answer_together(engine, scene, [question], 1, forced))[0].after_lookup_s
        passage = scene.gen.codec.passage(scene.store.passage(turn % len(scene.store)))
        alone.append(await prefill_alone(engine, [*passage, scene.gen.codec.control.cs]))
    return median(after), median(alone)
