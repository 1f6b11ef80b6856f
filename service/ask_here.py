"""One question answered in this process, without a server: its pair and its index are loaded for it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import transformers

from service.client import RetrievalData, StreamEvent, TokenData
from service.decoding.engine import Sampling
from service.decoding.events import CitationEvent, DoneEvent, Event, RetrievalEvent, TokenEvent
from service.decoding.request import GenerationRequest
from service.index_version import IndexVersion
from service.preflight import check_models
from service.replies import citation_result, generate_response, passage_results
from service.resources import open_resources
from service.settings import AskSettings


async def answer_events(settings: AskSettings) -> AsyncGenerator[StreamEvent, None]:
    """The events that a service would stream. Close them when leaving early.

    Raises:
        InputError: The question or a setting is wrong.
        PairError, StoreError: The pair or the index cannot be loaded.
    """
    transformers.utils.logging.disable_progress_bar()
    models = settings.models()
    check_models(models)
    async with open_resources(models, max_sessions=1, queue=0) as resources:
        version = resources.indexes.default.current
        async with aclosing(resources.generate(version, _request(settings))) as events:
            async for event in events:
                yield _told(event, version)


def _told(event: Event, version: IndexVersion) -> StreamEvent:
    match event:
        case TokenEvent(text):
            return TokenData(text=text)
        case RetrievalEvent(passages):
            return RetrievalData(passages=passage_results(passages))
        case CitationEvent(citation):
            return citation_result(citation)
        case DoneEvent(answer):
            return generate_response(answer, version)


def _request(settings: AskSettings) -> GenerationRequest:
    return GenerationRequest(
        question=settings.question,
        retrieval=settings.retrieval,
        max_retrievals=settings.max_retrievals,
        top_k=settings.top_k,
        min_score=settings.min_score,
        max_new_tokens=settings.max_new_tokens,
        sampling=Sampling(settings.temperature, settings.top_p, settings.seed),
    )
