"""An answer as server-sent events: `token`, `retrieval`, `citation`, then `done` or `error`."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import anyio
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from service.decoding.answer import Answer
from service.decoding.events import CitationEvent, DoneEvent, Event, RetrievalEvent, TokenEvent
from service.problems import problem_of
from service.replies import citation_result, passage_results
from service.schemas import GenerateResponse, RetrievalData, TokenData

logger = logging.getLogger(__name__)

_PING_S = 15  # a comment line while nothing else is sent, so that proxies keep the connection open
_SEND_TIMEOUT_S = 60  # for a client that stays connected and reads nothing: it keeps a place from others
_LAST_EVENT_S = 2  # for the event that tells a client of a time that is over

EVENT_SCHEMA = {
    "type": "object",
    "description": "One event of the stream.",
    "properties": {"event": {"type": "string"}, "data": {"type": "string", "contentMediaType": "application/json"}},
    "required": ["data"],
}
"""What a stream consists of; OpenAPI calls this the schema of the medium."""

STREAM_DESCRIPTION: dict[str, Any] = {
    "description": "The answer; with `stream`, the events `token` (text), `retrieval` (passages), `citation` and at "
    "the end `done` (the whole answer as without `stream`) or `error` (a problem).",
    "content": {
        "text/event-stream": {
            "schema": EVENT_SCHEMA,
            "example": 'event: token\ndata: {"text":"Serialize"}\n\nevent: done\ndata: {"answer":"Serialize", ...}\n\n',
        }
    },
}

Finish = Callable[[Answer], Awaitable[GenerateResponse]]


class EventStream(EventSourceResponse):
    """Sends an answer while it is written.

    However it ends (the client hangs up, reads nothing or too slowly, the service ends), the events are closed and with
    them the engine's session.

    Args:
        messages: What is sent, made of the events.
        events: The events that they are made of.
        timeout_s: Seconds that it may take in all. The events keep to them by themselves, but know nothing of a client
            that reads a byte now and then.
    """

    def __init__(
        self, messages: AsyncGenerator[ServerSentEvent, None], events: AsyncGenerator[Event, None], *, timeout_s: float
    ) -> None:
        self._events = events
        self._timeout_s = timeout_s
        super().__init__(
            messages,
            ping=_PING_S,
            sep="\n",
            send_timeout=_SEND_TIMEOUT_S,
        )
        self._send_lock = anyio.Lock(fast_acquire=True)  # the library's own costs the end a turn of the loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream; ASGI's interface of a response."""
        async with aclosing(self._events):
            try:
                async with asyncio.timeout(self._timeout_s + _LAST_EVENT_S):
                    await super().__call__(scope, receive, send)
            except SendTimeoutError:
                logger.warning("a client read nothing for %d s; its stream is closed", _SEND_TIMEOUT_S)
            except TimeoutError:
                logger.warning("a client had not read its answer after %g s; its stream is closed", self._timeout_s)


class AnswerStream(EventStream):
    """An answer of `/generate`, its events under their own names."""

    def __init__(
        self, first: Event, rest: AsyncGenerator[Event, None], finish: Finish, *, request_id: str, timeout_s: float
    ) -> None:
        super().__init__(_messages(first, rest, finish, request_id), rest, timeout_s=timeout_s)


async def _messages(
    first: Event, rest: AsyncGenerator[Event, None], finish: Finish, request_id: str
) -> AsyncGenerator[ServerSentEvent, None]:
    try:
        yield await _message(first, finish)
        async for event in rest:
            yield await _message(event, finish)
    except Exception as error:  # noqa: BLE001 - the status line is out, so an event is the only way left to tell the client
        yield _encoded("error", problem_of(error, request_id))


async def _message(event: Event, finish: Finish) -> ServerSentEvent:
    match event:
        case TokenEvent(text):
            return _encoded("token", TokenData(text=text))
        case RetrievalEvent(passages):
            return _encoded("retrieval", RetrievalData(passages=passage_results(passages)))
        case CitationEvent(citation):
            return _encoded("citation", citation_result(citation))
        case DoneEvent(answer):
            return _encoded("done", await finish(answer))


def _encoded(event: str, data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(data.model_dump_json(exclude_unset=True), event=event, sep="\n")
