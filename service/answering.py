"""From a request's body to the events of its answer: what every route that answers questions shares."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from semiparametric.errors import InputError
from service.decoding.answer import Answer
from service.decoding.engine import Sampling
from service.decoding.events import DoneEvent, Event
from service.decoding.request import GenerationRequest
from service.index_version import IndexVersion
from service.maps import Maps
from service.replies import generate_response
from service.resources import Resources
from service.schemas import GenerateRequest, GenerateResponse
from service.settings import ServeSettings
from service.time_limit import events_within


async def begin_answer(
    body: GenerateRequest, version: IndexVersion, resources: Resources, settings: ServeSettings, maps: Maps
) -> AsyncGenerator[Event, None]:
    """The events of the answer to `body.question`, from a version that stays open. Close them when leaving early.

    They end with a DeadlineError when they take longer than the service allows, the map that `body.lookups` needs
    included: it is drawn before the last event.

    Raises:
        InputError: A field breaks a rule of this service or of this index.
    """
    generation = await generation_request(body, version, settings)
    events = resources.generate(version, generation)
    return events_within(settings.timeout_s, _mapped(events, version, maps) if body.lookups else events)


async def _mapped(
    events: AsyncGenerator[Event, None], version: IndexVersion, maps: Maps
) -> AsyncGenerator[Event, None]:
    """The events; the last one comes when the version's map is there."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, DoneEvent):
                await maps.of(version)
            yield event


async def generation_request(
    body: GenerateRequest, version: IndexVersion, settings: ServeSettings
) -> GenerationRequest:
    """What is asked of the decoding loop.

    Raises:
        InputError: As `begin_answer` says.
    """
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
        rows=await version.candidate_rows(body.candidates, body.filter),
        max_new_tokens=max_new_tokens,
        sampling=Sampling(body.temperature, body.top_p, body.seed),
    )


async def finished(body: GenerateRequest, answer: Answer, version: IndexVersion, maps: Maps) -> GenerateResponse:
    """The response to a finished answer, with its lookups where the request wants them."""
    return generate_response(answer, version, await maps.place(answer.lookups, version) if body.lookups else None)
