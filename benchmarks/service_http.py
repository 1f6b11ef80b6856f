"""The same questions to the engine in this process and to a service over HTTP: what HTTP adds."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from itertools import count
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.service_raw import RawClients, last_event
from benchmarks.service_scene import CLIENTS, Question, Round, ServedScene
from cosup.child_service import ChildService
from service.decoding.answer import Timings
from service.decoding.events import whole_answer
from service.decoding.request import GenerationRequest
from service.index_folders import IndexFolder
from service.resources import Resources, open_resources
from service.schemas import GenerateResponse, TimingsResult
from service.settings import ModelSettings

IN_PROCESS, HTTP_WHOLE, HTTP_STREAM = "in process", "HTTP", "HTTP, streamed"


@dataclass(frozen=True)
class Asked:
    """One question, answered.

    outside_s: what its asker waited beyond waiting for the engine and the search.
    """

    answer: str
    tokens: int
    latency_s: float
    outside_s: float


@dataclass
class Measured:
    """What one side did.

    rates: tokens per second, round by round.
    """

    rates: list[float] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    @property
    def latency_ms(self) -> float:
        """The median of all answers."""
        return 1000 * median(one.latency_s for one in self.asked)

    @property
    def outside_ms(self) -> float:
        """The median of what was no waiting for the engine."""
        return 1000 * median(one.outside_s for one in self.asked)


Ask = Callable[[Question], Awaitable[Asked]]


def options_of(engine: str) -> dict[str, Any]:
    """Options of vLLM, by their names: without compiling, which takes minutes on a CPU."""
    return {"enforce_eager": True} if engine == "vllm" else {}


async def measure(
    service: ChildService, scene: ServedScene, measured: Round, threads: int, engine: str
) -> dict[str, Measured]:
    """All sides in turn, each first in some round, after a warm-up of each."""
    models = ModelSettings(
        pair=scene.pair,
        index=(IndexFolder(scene.index),),
        threads=threads,
        engine=engine,
        vllm=options_of(engine),
    )
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(models, max_sessions=CLIENTS, queue=CLIENTS))
        http = stack.enter_context(closing(RawClients(service.url)))
        sides: dict[str, Ask] = {
            IN_PROCESS: lambda question: _in_process(resources, question),
            HTTP_WHOLE: lambda question: _over_http(http, question, stream=False),
            HTTP_STREAM: lambda question: _over_http(http, question, stream=True),
        }
        for ask in sides.values():
            await _all(ask, scene.questions[:CLIENTS], measured.apart_s)
        results = {name: Measured() for name in sides}
        order = list(sides)
        for _ in range(measured.rounds):
            for name in order:
                begun = perf_counter()
                answers = await _all(sides[name], scene.questions, measured.apart_s)
                results[name].rates.append(sum(one.tokens for one in answers) / (perf_counter() - begun))
                results[name].asked += answers
            order = [*order[1:], order[0]]
    return results


async def _all(ask: Ask, questions: list[Question], apart_s: float) -> list[Asked]:
    """Answers in the order of the questions, by clients that each take the next one when they are answered."""
    answers: dict[int, Asked] = {}
    numbers = count()

    async def client(place: int) -> None:
        await asyncio.sleep(place * apart_s)
        while (number := next(numbers)) < len(questions):
            answers[number] = await ask(questions[number])

    async with asyncio.TaskGroup() as group:
        for place in range(CLIENTS):
            group.create_task(client(place))
    return [answers[number] for number in range(len(questions))]


async def _in_process(resources: Resources, question: Question) -> Asked:
    begun = perf_counter()
    request = GenerationRequest(question.text, retrieval="first", max_new_tokens=question.max_new_tokens)
    answer = await whole_answer(resources.generate(resources.indexes.default.current, request))
    return _asked(answer.text, answer.usage.completion_tokens, answer.timings, perf_counter() - begun)


async def _over_http(http: RawClients, question: Question, *, stream: bool) -> Asked:
    begun = perf_counter()
    body = {
        "question": question.text,
        "retrieval": "first",
        "max_new_tokens": question.max_new_tokens,
        "stream": stream,
    }
    content, at = await http.post("/generate", body)
    told = GenerateResponse.model_validate_json(last_event(content) if stream else content)
    return _asked(told.answer, told.usage.completion_tokens, told.timings, at - begun)


def _asked(answer: str, tokens: int, timings: Timings | TimingsResult, latency_s: float) -> Asked:
    inside_s = timings.queue + timings.prefill + timings.decode + timings.lookup
    return Asked(answer, tokens, latency_s, latency_s - inside_s)
