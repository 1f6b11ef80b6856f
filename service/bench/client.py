"""One question sent to a running service, and what comes back when."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter

import httpx

from semiparametric.errors import InputError
from service.bench.outcome import Outcome
from service.bench.settings import BenchServeSettings
from service.client import (
    AnswerOptions,
    AsyncClient,
    GenerateResponse,
    RetrievalData,
    ServiceError,
    StreamEvent,
    TokenData,
)

_UNDER_WAY = "under way"  # the status between a stream's first event and its end


class BenchClient:
    """Asks a service as many clients would, over one pool of connections.

    Args:
        settings: What is asked and how.
        http: Where it is sent; its base address is the service's.
    """

    def __init__(self, settings: BenchServeSettings, http: httpx.AsyncClient) -> None:
        self._http = http
        self._client = AsyncClient(settings.url, http=http)
        self._url = settings.url
        self._timeout_s = settings.timeout_s
        self._stream = settings.stream
        self._options: AnswerOptions = {
            "index": settings.index,
            "retrieval": settings.retrieval,
            "max_new_tokens": settings.max_new_tokens,
        }

    async def check_ready(self) -> None:
        """Refuse to load what does not answer.

        Raises:
            InputError: Nothing answers at the address, or it is not ready.
        """
        try:
            status = (await self._http.get("/ready")).status_code
        except httpx.TransportError as error:
            raise InputError(
                f"nothing answers there ({type(error).__name__})",
                where=self._url,
                remedy="Start `cosup serve`, or give its address with --url",
            ) from error
        if status != httpx.codes.OK:
            raise InputError(f"GET /ready answers {status}", where=self._url, remedy="Wait until 200")

    async def ask(self, question: str, began_s: float) -> Outcome:
        """Ask, and time what comes. Whatever goes wrong is the outcome's status."""
        outcome = Outcome(began_s)
        started = perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                if self._stream:
                    async with aclosing(self._client.stream(question, **self._options)) as events:
                        await _read_events(events, outcome, started)
                else:
                    _note_answer(await self._client.generate(question, **self._options), outcome)
        except TimeoutError:
            outcome.status = "timeout"
        except ServiceError as error:
            outcome.status = _status_of(error, under_way=outcome.status == _UNDER_WAY)
        outcome.latency_s = perf_counter() - started
        return outcome


async def _read_events(events: AsyncGenerator[StreamEvent, None], outcome: Outcome, started: float) -> None:
    last_text: float | None = None
    looked_up = False
    async for event in events:
        now = perf_counter()
        outcome.status = _UNDER_WAY
        match event:
            case TokenData():
                if last_text is None:
                    outcome.first_s = now - started
                else:
                    (outcome.pauses_s if looked_up else outcome.gaps_s).append(now - last_text)
                last_text, looked_up = now, False
            case RetrievalData():
                looked_up = True
            case GenerateResponse():
                _note_answer(event, outcome)


def _note_answer(answer: GenerateResponse, outcome: Outcome) -> None:
    timings, usage = answer.timings, answer.usage
    outcome.queue_s, outcome.lookup_s, outcome.engine_s = timings.queue, timings.lookup, timings.total
    outcome.completion_tokens, outcome.retrievals = usage.completion_tokens, usage.retrievals
    outcome.status = "200"


def _status_of(error: ServiceError, *, under_way: bool) -> str:
    if error.status is not None:
        return f"error event {error.status}" if under_way else str(error.status)
    return "cut stream" if error.__cause__ is None else type(error.__cause__).__name__
