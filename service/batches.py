"""Many questions in one request: each is answered, or has a problem of its own."""

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from semiparametric.errors import BusyError, DeadlineError, InputError
from service.answering import finished, generation_request
from service.decoding.events import whole_answer
from service.index_version import IndexVersion
from service.maps import Maps
from service.problems import problem_of
from service.resources import Resources
from service.schemas import BatchResponse, GenerateRequest, GenerateResponse, Problem
from service.settings import ServeSettings
from service.time_limit import within

Result = TypeVar("Result")


async def answer_batch(
    body: GenerateRequest,
    version: IndexVersion,
    resources: Resources,
    settings: ServeSettings,
    maps: Maps,
    request_id: str,
) -> BatchResponse:
    """Answer `body.questions` from one version, no more of them at a time than the engine has places.

    Raises:
        InputError: Something is wrong that all questions share.
        CosupError: The engine failed.
    """
    shared = await generation_request(body, version, settings)
    places = asyncio.Semaphore(settings.max_sessions)

    async def answer(question: str) -> GenerateResponse | Problem:
        try:
            async with within(settings.timeout_s), places:
                events = resources.generate(version, replace(shared, question=question))
                return await finished(body, await whole_answer(events), version, maps)
        except (InputError, BusyError, DeadlineError) as error:  # this question's own; others fail the request
            return problem_of(error, request_id, ["question"])

    return BatchResponse(answers=await _together([answer(question) for question in body.questions]))


async def _together(answers: Sequence[Coroutine[Any, Any, Result]]) -> list[Result]:
    """The results in order. When one fails, or the caller is cancelled, the others are stopped and waited for."""
    tasks = [asyncio.create_task(answer) for answer in answers]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
