"""The Python client: typed answers, typed events, and an exception of its own for each kind of refusal."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from service.client import (
    AsyncClient,
    BusyServiceError,
    CitationResult,
    Client,
    FailedError,
    GenerateResponse,
    KeyRefusedError,
    NotFoundError,
    RequestError,
    RetrievalData,
    ServiceError,
    TokenData,
    UnreachableError,
)
from tests.service.running import running_app
from tests.small_index import PASSAGES

QUESTION = "What does the keeper write down?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tiny_pair: Path, index: Path) -> AsyncIterator[AsyncClient]:
    async with running_app(pair=tiny_pair, index=index) as http:
        yield AsyncClient("http://service", http=http)


@pytest.mark.asyncio(loop_scope="module")
async def test_an_answer_comes_whole_or_piece_by_piece(client: AsyncClient) -> None:
    whole = await client.generate(QUESTION, retrieval="first", max_new_tokens=12)
    events = [event async for event in client.stream(QUESTION, retrieval="first", max_new_tokens=12)]
    assert whole.usage.completion_tokens == 12
    assert isinstance(events[0], RetrievalData)
    assert "".join(event.text for event in events if isinstance(event, TokenData)) == whole.answer
    assert [event for event in events if isinstance(event, CitationResult)] == whole.citations
    last = events[-1]
    assert isinstance(last, GenerateResponse)
    assert last.model_dump(exclude={"timings"}) == whole.model_dump(exclude={"timings"})


@pytest.mark.asyncio(loop_scope="module")
async def test_passages_and_indexes(client: AsyncClient) -> None:
    found = await client.retrieve("the tide", top_k=2, filter={"place": "mill"})
    assert {passage.id for passage in found.passages} == {"tide", "wheel"}
    told = await client.indexes()
    assert told.default == "small"
    assert told.indexes[0].passages == len(PASSAGES)


@pytest.mark.asyncio(loop_scope="module")
async def test_many_questions_give_an_answer_or_an_exception_each(client: AsyncClient) -> None:
    first, second = await client.generate_many([QUESTION, "long " * 600], retrieval="never", max_new_tokens=2)
    assert isinstance(first, GenerateResponse)
    assert isinstance(second, RequestError)
    assert "tokens with its prompt" in str(second)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.bad_input
async def test_what_the_service_refuses_is_raised_with_its_places(client: AsyncClient) -> None:
    with pytest.raises(RequestError, match="top_k: got 0") as refused:
        await client.generate(QUESTION, top_k=0)
    assert refused.value.status == 422
    assert refused.value.type == "urn:cosup:problem:invalid-request"
    assert refused.value.errors[0].pointer == "#/top_k"
    assert refused.value.request_id
    with pytest.raises(NotFoundError, match="there is no index 'large'"):
        await client.retrieve("tide", index="large")
    with pytest.raises(RequestError, match="top_k"):
        await anext(client.stream(QUESTION, top_k=0))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_full_service_says_when_to_come_back(tiny_pair: Path, index: Path) -> None:
    async with running_app(pair=tiny_pair, index=index, max_sessions=1, queue=0, retry_after_s=7) as http:
        client = AsyncClient("http://service", http=http)
        asked = (client.generate(QUESTION, retrieval="never", max_new_tokens=60) for _ in range(3))
        results = await asyncio.gather(*asked, return_exceptions=True)
        busy = [result for result in results if isinstance(result, BusyServiceError)]
        assert len(busy) == 2
        assert busy[0].retry_after_s == 7


def answering(*chunks: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> Client:
    """A client of a service that says just this."""

    class Body(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from chunks

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers={"content-type": kind} | headers, stream=Body())

    return Client("http://service", http=httpx.Client(transport=httpx.MockTransport(answer), base_url="http://service"))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestError),
        (401, KeyRefusedError),
        (403, KeyRefusedError),
        (404, NotFoundError),
        (413, RequestError),
        (429, BusyServiceError),
        (500, FailedError),
        (502, FailedError),
        (503, BusyServiceError),
        (504, FailedError),
    ],
)
@pytest.mark.parametrize("body", [b'{"type": "t", "title": "T", "status": 1, "detail": "why", "new": 1}', b"<html>why"])
def test_each_status_has_its_exception_whoever_sent_it(status: int, kind: type[ServiceError], body: bytes) -> None:
    with answering(body, status=status) as client, pytest.raises(ServiceError, match="why") as raised:
        client.generate(QUESTION)
    assert type(raised.value) is kind
    assert raised.value.status == status


def test_fields_and_events_that_a_newer_service_adds_are_passed_over() -> None:
    index = {"name": "small", "version": 1, "owner": "me"}
    with answering(json.dumps({"passages": [], "index": index, "mood": "fine"}).encode()) as client:
        assert client.retrieve("tide").index.name == "small"
    with answering(
        b"event: mood\ndata: {}\n\n", b'event: token\ndata: {"text": "a"}\n\n', kind="text/event-stream"
    ) as client:
        assert next(client.stream(QUESTION)) == TokenData(text="a")


@pytest.mark.parametrize("cut", [b"", b'event: token\ndata: {"text": "a"}\n\n', b'event: done\ndata: {"answer": "a"'])
def test_a_stream_that_ends_before_its_answer_is_an_error(cut: bytes) -> None:
    with (
        answering(cut, kind="text/event-stream") as client,
        pytest.raises(FailedError, match="ended before the answer"),
    ):
        list(client.stream(QUESTION))


@pytest.mark.parametrize(
    ("content", "kind"), [(b"<html>", "text/html"), (b"event: token\ndata: {]\n\n", "text/event-stream")]
)
def test_what_no_service_would_answer_is_an_error(content: bytes, kind: str) -> None:
    with answering(content, kind=kind) as client:
        with pytest.raises(FailedError):
            client.generate(QUESTION)
        with pytest.raises(FailedError):
            list(client.stream(QUESTION))


def test_a_problem_in_the_middle_of_a_stream_is_raised() -> None:
    problem = b'{"type": "t", "title": "T", "status": 500, "detail": "why", "request_id": "r1"}'
    with answering(b"event: error\ndata: " + problem + b"\n\n", kind="text/event-stream") as client:
        with pytest.raises(FailedError, match="why") as raised:
            list(client.stream(QUESTION))
        assert raised.value.request_id == "r1"


def test_a_service_that_is_not_there_is_unreachable() -> None:
    with Client("http://127.0.0.1:9") as client:
        for ask in (client.indexes, lambda: client.generate(QUESTION), lambda: list(client.stream(QUESTION))):
            with pytest.raises(
                UnreachableError, match=r"http://127.0.0.1:9: the service did not answer \(.*\)\. Is it running"
            ):
                ask()


def test_a_key_is_sent_as_a_bearer_and_never_shown() -> None:
    client: Any = Client("http://localhost:8000", key="cosup_secret")
    assert client._http.headers["authorization"] == "Bearer cosup_secret"
    assert "cosup_secret" not in repr(client) + repr(client._http.headers)
