"""`cosup ask`: an answer written to the terminal as it comes, made in this process or by a running service."""

import asyncio
import sys
from contextlib import aclosing

import typer

from semiparametric.errors import CosupError
from service.client import AnswerOptions, CitationResult, Client, GenerateResponse, StreamEvent, TokenData
from service.settings import AskSettings
from service.terminal import AnswerWriter, cited_passages


def ask(settings: AskSettings) -> None:
    """Answer one question on stdout.

    Raises:
        InputError: The question or a setting is wrong.
        PairError, StoreError: The pair or the index cannot be loaded.
        ServiceError: The service that was asked cannot be reached or refuses.
    """
    shown = _Shown(as_json=settings.as_json)
    if settings.url is None:
        asyncio.run(_answer_here(settings, shown))
    else:
        _answer_there(settings, settings.url, shown)
    shown.finish()


class _Shown:
    """The answer on the terminal."""

    def __init__(self, *, as_json: bool) -> None:
        self._writer = None if as_json else AnswerWriter(_write)
        self._answer: GenerateResponse | None = None

    def event(self, event: StreamEvent) -> None:
        """Write what has come."""
        if isinstance(event, GenerateResponse):
            self._answer = event
        elif self._writer and isinstance(event, TokenData):
            self._writer.token(event.text)
        elif self._writer and isinstance(event, CitationResult):
            self._writer.citation(event.passage_id)

    def finish(self) -> None:
        """Write what stands below the answer."""
        if self._answer is None:
            raise CosupError("the answer ended without its last event")
        if self._writer is None:
            typer.echo(self._answer.model_dump_json(indent=2, exclude_unset=True))
            return
        typer.echo("\n")
        if self._answer.finish_reason == "no_evidence":
            typer.echo("The index holds nothing good enough to cite (see --min-score).\n")
        typer.echo(cited_passages(self._answer))


def _answer_there(settings: AskSettings, url: str, shown: _Shown) -> None:
    options: AnswerOptions = {
        "retrieval": settings.retrieval,
        "max_retrievals": settings.max_retrievals,
        "top_k": settings.top_k,
        "min_score": settings.min_score,
        "max_new_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "seed": settings.seed,
    }
    if settings.index:
        options["index"] = str(settings.index[0].folder)
    key = None if settings.key is None else settings.key.get_secret_value()
    with Client(url, key=key) as service:
        for event in service.stream(settings.question, **options):
            shown.event(event)


async def _answer_here(settings: AskSettings, shown: _Shown) -> None:
    from service.ask_here import answer_events  # it loads what decodes; who asks a service need not wait for that

    async with aclosing(answer_events(settings)) as events:
        async for event in events:
            shown.event(event)


def _write(text: str) -> None:
    typer.echo(text, nl=False)
    sys.stdout.flush()
