"""One question sent to a running service, and what comes back when."""

import asyncio
import json
from contextlib import aclosing
from time import perf_counter
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError

from semiparametric.errors import InputError
from service.bench.outcome import Outcome
from service.bench.settings import BenchServeSettings


class BenchClient:
    """Asks a service as many clients would, over one pool of connections.

    Args:
        settings: What is asked and how.
        http: Where it is sent; its base address is the service's.
    """

    def __init__(self, settings: BenchServeSettings, http: httpx.AsyncClient) -> None:
        self._http = http
        self._url = settings.url
        self._timeout_s = settings.timeout_s
        self._stream = settings.stream
        fields = {"index": settings.index, "max_new_tokens": settings.max_new_tokens}
        self._body: dict[str, Any] = {"retrieval": settings.retrieval, "stream": settings.stream}
        self._body |= {name: value for name, value in fields.items() if value is not None}

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
                await self._exchange(self._body | {"question": question}, outcome, started)
        except TimeoutError:
            outcome.status = "timeout"
        except (
            httpx.HTTPError,
            SSEError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:  # also an answer that is none of ours
            outcome.status = type(error).__name__
        outcome.latency_s = perf_counter() - started
        return outcome

    async def _exchange(self, body: dict[str, Any], outcome: Outcome, started: float) -> None:
        async with self._http.stream("POST", "/generate", json=body) as reply:
            if reply.status_code != httpx.codes.OK:
                await reply.aread()
                outcome.status = str(reply.status_code)
            elif self._stream:
                await _read_events(EventSource(reply), outcome, started)
            else:
                _note_answer(json.loads(await reply.aread()), outcome)


async def _read_events(source: EventSource, outcome: Outcome, started: float) -> None:
    outcome.status = "cut stream"  # what stays where neither `done` nor `error` comes
    last_text: float | None = None
    looked_up = False
    async with aclosing(source.aiter_sse()) as events:
        async for event in events:
            now = perf_counter()
            if event.event == "token":
                if last_text is None:
                    outcome.first_s = now - started
                else:
                    (outcome.pauses_s if looked_up else outcome.gaps_s).append(now - last_text)
                last_text, looked_up = now, False
            elif event.event == "retrieval":
                looked_up = True
            elif event.event == "error":
                outcome.status = f"error event {json.loads(event.data)['status']}"
            elif event.event == "done":
                _note_answer(json.loads(event.data), outcome)


def _note_answer(answer: dict[str, Any], outcome: Outcome) -> None:
    timings, usage = answer["timings"], answer["usage"]
    outcome.queue_s, outcome.lookup_s, outcome.engine_s = timings["queue"], timings["lookup"], timings["total"]
    outcome.completion_tokens, outcome.retrievals = usage["completion_tokens"], usage["retrievals"]
    outcome.status = "200"
