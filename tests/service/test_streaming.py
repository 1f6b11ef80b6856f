"""However a stream ends, its events are closed, and with them the engine's session."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.types import Message

from service import examples
from service.decoding.answer import Answer, Timings, Usage
from service.decoding.events import DoneEvent, Event, TokenEvent
from service.schemas import GenerateResponse
from service.streaming import AnswerStream

SCOPE: dict[str, Any] = {"type": "http", "method": "POST"}
ANSWER = Answer("word", [], [], [], "stop", Usage(1, 0, 1, 0, 1), Timings())


class Events:
    """Endless tokens that remember whether their generator was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def tokens(self) -> AsyncGenerator[Event, None]:
        try:
            while True:
                yield TokenEvent("word ")
                await asyncio.sleep(0)
        finally:
            self.closed = True


async def finish(_answer: Answer) -> GenerateResponse:
    return GenerateResponse.model_validate(examples.ANSWER)


async def stream_of(events: Events) -> AnswerStream:
    rest = events.tokens()
    return AnswerStream(await anext(rest), rest, finish, request_id="r", timeout_s=60)


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_client_that_reads_nothing_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    events = Events()
    stream = await stream_of(events)
    stream.send_timeout = 0.05

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    with caplog.at_level(logging.WARNING, "service.streaming"):
        await stream(SCOPE, never, send)
    assert events.closed
    assert "read nothing" in caplog.text


async def test_a_client_that_reads_a_byte_now_and_then_has_its_time_too(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.streaming._LAST_EVENT_S", 0)
    events = Events()
    rest = events.tokens()
    stream = AnswerStream(await anext(rest), rest, finish, request_id="r", timeout_s=0.1)

    async def send(message: Message) -> None:
        await asyncio.sleep(0.03)

    with caplog.at_level(logging.WARNING, "service.streaming"):
        await stream(SCOPE, never, send)
    assert events.closed
    assert "had not read its answer" in caplog.text


async def test_a_client_that_is_gone_before_the_first_byte_stops_the_events() -> None:
    events = Events()
    stream = await stream_of(events)
    sent = []

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message["type"])
        await asyncio.sleep(0)

    await stream(SCOPE, gone, send)
    assert events.closed
    assert len(sent) < 10


async def test_a_cancelled_stream_stops_the_events() -> None:
    events = Events()
    stream = await stream_of(events)

    async def send(_message: Message) -> None:
        await asyncio.sleep(0)

    task = asyncio.create_task(stream(SCOPE, never, send))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert events.closed


async def test_the_end_of_a_stream_follows_its_last_event_in_the_same_turn_of_the_loop() -> None:
    turn, sent = 0, []

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())

    async def last() -> AsyncGenerator[Event, None]:
        yield DoneEvent(ANSWER)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append((turn, message["body"]))

    events = last()
    await AnswerStream(TokenEvent("word"), events, finish, request_id="r", timeout_s=60)(SCOPE, never, send)
    counting.cancel()
    assert [body.split(b"\n")[0] for _, body in sent] == [b"event: token", b"event: done", b""]
    assert sent[1][0] == sent[2][0]
