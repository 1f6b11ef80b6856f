"""Two ways to load a service: clients that wait for their answers, and requests that come when they come."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from random import Random
from time import perf_counter

import httpx

from service.bench.client import BenchClient
from service.bench.outcome import Outcome
from service.bench.settings import CONCURRENCY, BenchServeSettings

Ended = Callable[[Outcome], None]


async def load(settings: BenchServeSettings, questions: list[str], ended: Ended) -> None:
    """Ask until all requests are made or the time is over, and wait for those under way.

    Args:
        settings: How many, how fast and how long.
        questions: In any number; they are asked in an order drawn by the seed, again and again.
        ended: Called with each outcome at once, so that what there is survives a Ctrl-C.

    Raises:
        InputError: No service is ready at the address.
    """
    dice = Random(settings.seed)  # noqa: S311 - not for secrets
    order = islice(cycle(dice.sample(questions, len(questions))), settings.requests)
    headers = {} if settings.api_key is None else {"Authorization": f"Bearer {settings.api_key.get_secret_value()}"}
    limits = httpx.Limits(max_connections=None)  # the load says how many there are
    async with httpx.AsyncClient(base_url=settings.url, headers=headers, timeout=None, limits=limits) as http:  # noqa: S113 - BenchClient has one for the whole request
        client = BenchClient(settings, http)
        await client.check_ready()
        if settings.rate is None:
            await _closed_loop(client, order, settings.concurrency or CONCURRENCY, settings.duration_s, ended)
        else:
            await _poisson(client, order, settings.rate, settings.duration_s, dice, ended)


async def _closed_loop(
    client: BenchClient, questions: Iterator[str], concurrency: int, duration_s: float, ended: Ended
) -> None:
    started = perf_counter()

    async def keep_asking() -> None:
        for question in questions:  # all clients take from the same ones
            began_s = perf_counter() - started
            if began_s > duration_s:
                return
            ended(await client.ask(question, began_s))

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(keep_asking())


async def _poisson(
    client: BenchClient, questions: Iterator[str], rate: float, duration_s: float, dice: Random, ended: Ended
) -> None:
    started = perf_counter()
    due_s = 0.0

    async def ask(question: str, began_s: float) -> None:
        ended(await client.ask(question, began_s))

    async with asyncio.TaskGroup() as group:
        for question in questions:
            due_s += dice.expovariate(rate)
            if due_s > duration_s:
                return
            await asyncio.sleep(max(0.0, started + due_s - perf_counter()))
            group.create_task(ask(question, due_s))
