"""`cosup ask`: the service's own answer, made in this process and written to the terminal as it comes."""

import asyncio
import sys
from contextlib import aclosing

import transformers
import typer

from semiparametric.errors import CosupError
from service.decoding.answer import Answer
from service.decoding.engine import Sampling
from service.decoding.events import CitationEvent, DoneEvent, TokenEvent
from service.decoding.request import GenerationRequest
from service.index_version import IndexVersion
from service.preflight import check_models
from service.replies import generate_response
from service.resources import Resources, open_resources
from service.settings import AskSettings
from service.terminal import AnswerWriter, cited_passages


def ask(settings: AskSettings) -> None:
    """Answer one question on stdout.

    Raises:
        InputError: The question or a setting is wrong.
        PairError, StoreError: The pair or the index cannot be loaded.
    """
    transformers.utils.logging.disable_progress_bar()
    check_models(settings)
    asyncio.run(_ask(settings))


async def _ask(settings: AskSettings) -> None:
    async with open_resources(settings, max_sessions=1, queue=0) as resources:
        writer = None if settings.as_json else AnswerWriter(_write)
        version = resources.indexes.default.current
        response = generate_response(await _answer(settings, resources, version, writer), version)
    if settings.as_json:
        typer.echo(response.model_dump_json(indent=2))
        return
    typer.echo("\n")
    if response.finish_reason == "no_evidence":
        typer.echo("The index holds nothing good enough to cite (see --min-score).\n")
    typer.echo(cited_passages(response))


async def _answer(
    settings: AskSettings, resources: Resources, version: IndexVersion, writer: AnswerWriter | None
) -> Answer:
    async with aclosing(resources.generate(version, _request(settings))) as events:
        async for event in events:
            if isinstance(event, DoneEvent):
                return event.answer
            if writer and isinstance(event, TokenEvent):
                writer.token(event.text)
            elif writer and isinstance(event, CitationEvent):
                writer.citation(event.citation.passage_id)
    raise CosupError("the answer ended without its last event")


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


def _write(text: str) -> None:
    typer.echo(text, nl=False)
    sys.stdout.flush()
