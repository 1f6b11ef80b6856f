"""`POST /generate`: a question answered with cited passages."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request, Response

from semiparametric.errors import CosupError, InputError
from service.decoding.answer import Answer
from service.decoding.engine import Sampling
from service.decoding.events import DoneEvent, Event
from service.decoding.request import GenerationRequest
from service.disconnects import while_connected
from service.index_version import IndexVersion
from service.refusals import request_id_of
from service.replies import generate_response
from service.routes.context import Configured, Loaded, ReadableIndexes, problems
from service.schemas import GenerateRequest, GenerateResponse
from service.settings import ServeSettings
from service.streaming import STREAM_DESCRIPTION, AnswerStream
from service.time_limit import events_within

router = APIRouter()


@router.post(
    "/generate",
    response_model=GenerateResponse,
    responses={200: STREAM_DESCRIPTION, **problems(400, 404, 408, 413, 415, 422, 500, 503, 504)},
)
async def post_generate(
    body: GenerateRequest, request: Request, resources: Loaded, readable: ReadableIndexes, settings: Configured
) -> GenerateResponse | Response:
    """Answer a question with citations. With `stream`, send server-sent events while the answer is written."""
    version = readable.version_of(body.index)
    generation = await asyncio.to_thread(_generation_request, body, version, settings)
    events = events_within(settings.timeout_s, resources.generate(version, generation))

    def finish(answer: Answer) -> GenerateResponse:
        response = generate_response(answer, version)
        request.state.timings.update(response.timings)
        return response

    if not body.stream:
        return finish(await while_connected(request, _answer(events)))
    # The first event comes before the status line, so that a refusal and a full queue have a status of their own.
    first = await while_connected(request, anext(events))
    return AnswerStream(first, events, finish, request_id=request_id_of(request), drain_s=settings.drain_s)


def _generation_request(body: GenerateRequest, version: IndexVersion, settings: ServeSettings) -> GenerationRequest:
    max_new_tokens = settings.max_new_tokens if body.max_new_tokens is None else body.max_new_tokens
    if max_new_tokens > settings.max_new_tokens_limit:
        raise InputError(
            f"{max_new_tokens} is more than this service allows",
            where="max_new_tokens",
            remedy=f"Ask for {settings.max_new_tokens_limit} at most",
        )
    return GenerationRequest(
        question=body.question,
        retrieval=body.retrieval,
        max_retrievals=body.max_retrievals,
        top_k=body.top_k,
        min_score=body.min_score,
        rows=version.candidate_rows(body.candidates, body.filter),
        max_new_tokens=max_new_tokens,
        sampling=Sampling(body.temperature, body.top_p, body.seed),
    )


async def _answer(events: AsyncGenerator[Event, None]) -> Answer:
    async with aclosing(events):
        async for event in events:
            if isinstance(event, DoneEvent):
                return event.answer
    raise CosupError("the answer ended without its last event")
