"""What takes longer than it may is stopped, its client is told so, and its place is free."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from semiparametric.errors import DeadlineError
from service.decoding.answer import Answer
from service.decoding.events import Event, TokenEvent
from service.middleware import BodyLimit, RequestContext, RequestEnd
from service.schemas import GenerateResponse
from service.streaming import AnswerStream
from service.time_limit import events_within, within
from tests.service.running import running_app
from tests.small_index import build_small_index

pytestmark = pytest.mark.bad_input

LONG = {"question": "What does the keeper write down?", "retrieval": "never", "max_new_tokens": 450}


class Events:
    """One token, then nothing ever; remembers whether it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def tokens(self) -> AsyncGenerator[Event, None]:
        try:
            yield TokenEvent("word")
            await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_events_that_do_not_end_are_closed_and_the_error_says_what_the_limit_was() -> None:
    source = Events()
    limited = events_within(0.05, source.tokens())
    assert await anext(limited) == TokenEvent("word")
    with pytest.raises(DeadlineError, match=r"it took longer than 0\.05 s\. Ask for fewer tokens"):
        await anext(limited)
    assert source.closed


async def test_events_that_are_left_early_are_closed() -> None:
    source = Events()
    limited = events_within(60, source.tokens())
    await anext(limited)
    await limited.aclose()
    assert source.closed


async def test_events_that_end_in_time_all_come() -> None:
    async def three() -> AsyncGenerator[Event, None]:
        for word in ("a", "b", "c"):
            yield TokenEvent(word)

    assert [event async for event in events_within(60, three())] == [TokenEvent(word) for word in ("a", "b", "c")]


async def test_the_time_that_a_slow_reader_takes_counts() -> None:
    source = Events()
    limited = events_within(0.05, source.tokens())
    await anext(limited)
    await asyncio.sleep(0.1)
    with pytest.raises(DeadlineError):
        await anext(limited)
    assert source.closed


async def test_a_timeout_from_inside_is_not_mistaken_for_the_limit() -> None:
    async def broken() -> AsyncGenerator[Event, None]:
        raise TimeoutError("a disk did not answer")
        yield TokenEvent("")

    with pytest.raises(TimeoutError, match="a disk did not answer"):
        await anext(events_within(60, broken()))
    with pytest.raises(TimeoutError, match="a disk did not answer"):
        async with within(60):
            raise TimeoutError("a disk did not answer")


async def test_an_answer_that_takes_too_long_is_refused_and_its_place_is_free(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "small")
    async with running_app(pair=tiny_pair, index=index, timeout_s=0.02, max_sessions=1, queue=0) as client:
        for _ in range(3):
            reply = await client.post("/generate", json=LONG)
            assert reply.status_code == 504
            assert reply.json()["type"] == "urn:cosup:problem:too-late"
            assert "longer than 0.02 s" in reply.json()["detail"]


async def test_a_stream_that_takes_too_long_ends_with_an_error_event() -> None:
    source = Events()
    rest = events_within(0.05, source.tokens())
    stream = AnswerStream(await anext(rest), rest, finish, request_id="r", timeout_s=60)
    sent: list[bytes] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    await stream({"type": "http", "method": "POST"}, never, send)
    name, data = b"".join(sent).decode().strip().split("\n\n")[-1].split("\n")
    assert name == "event: error"
    assert json.loads(data.removeprefix("data: "))["status"] == 504
    assert source.closed


async def finish(_answer: Answer) -> GenerateResponse:
    raise AssertionError


async def test_a_body_that_does_not_arrive_is_refused() -> None:
    async def app(*_: object) -> None:
        raise AssertionError

    sent: list[Message] = []

    async def receive() -> Message:
        if sent:
            raise AssertionError
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/generate", "headers": [], "client": None}
    ends: list[RequestEnd] = []
    limited = BodyLimit(app, max_body_bytes=1024, timeout_s=0.1)
    await RequestContext(limited, ended=ends.append)(scope, receive, send)
    assert [end.status for end in ends] == [408]
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["detail"] == "the body had not arrived after 0.1 s; send it faster"
