"""The client reads whatever a server sends, cut and split anywhere: events, or one of its own errors."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service import examples
from service.client import AsyncClient, Client, FailedError, ServiceError
from service.client.requests import StreamEvent
from service.schemas import GenerateResponse

URL = "http://localhost"
PROBLEM = {"type": "t", "title": "T", "status": 500, "detail": "why", "request_id": "r"}
ANSWER: Any = examples.ANSWER
EVENTS: list[tuple[str, Any]] = [
    ("token", {"text": "Es ist schön. \u2028 🗼"}),
    ("retrieval", {"passages": ANSWER["passages"]}),
    ("citation", ANSWER["citations"][0]),
    ("done", ANSWER),
]
WHOLE = "".join(f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n" for name, data in EVENTS).encode()
FAILED = WHOLE.partition(b"event: done")[0] + f"event: error\ndata: {json.dumps(PROBLEM)}\n\n".encode()

FIELDS = [b"event: ", b"data: ", b"data", b"id: \0", b"retry: " + b"9" * 30, b": ping", b"token", b"done", b"error"]
ENDS = [b"\n", b"\r", b"\r\n", b"\n\n"]
VALUES = [b"{", b"[" * 3000, b'{"text": 1}', b'"\\ud800"', b"NaN", b"\xff", b"\xe2\x80", b"\xef\xbb\xbf", b"9" * 5000]
PIECES = st.one_of(st.sampled_from([*FIELDS, *ENDS, *VALUES]), st.binary(max_size=20))
CHARSETS = [
    "",
    "; charset=utf-16",
    "; charset=zlib",
    "; charset=idna",
    "; charset=punycode",
    "; charset=\xe9",
    "; charset",
]
CODINGS = ["identity", "gzip", "deflate", "gzip, deflate", "unknown"]


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk


def answering(chunks: Sequence[bytes], headers: dict[str, str], status: int = 200) -> httpx.MockTransport:
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return httpx.MockTransport(lambda _request: httpx.Response(status, headers=encoded, stream=Body(chunks)))


def read_waiting(transport: httpx.MockTransport) -> list[StreamEvent]:
    with Client(URL, http=httpx.Client(transport=transport, base_url=URL)) as client:
        return list(client.stream("Why?"))


def read_async(transport: httpx.MockTransport) -> list[StreamEvent]:
    async def read() -> list[StreamEvent]:
        async with AsyncClient(URL, http=httpx.AsyncClient(transport=transport, base_url=URL)) as client:
            return [event async for event in client.stream("Why?")]

    return asyncio.run(read())


READERS = [pytest.param(read_waiting, id="waiting"), pytest.param(read_async, id="async")]
Read = Callable[[httpx.MockTransport], list[StreamEvent]]


def split_at(data: bytes, places: Sequence[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]


@pytest.mark.parametrize("read", READERS)
@settings(max_examples=60, deadline=None)
@given(places=st.lists(st.integers(0, 10_000), max_size=40))
def test_a_stream_says_the_same_wherever_it_is_split(read: Read, places: list[int]) -> None:
    events = read(answering(split_at(WHOLE, places), {"content-type": "text/event-stream"}))
    assert [json.loads(event.model_dump_json(exclude_unset=True)) for event in events] == [data for _, data in EVENTS]


@pytest.mark.bad_input
@pytest.mark.parametrize("read", READERS)
@settings(max_examples=60, deadline=None)
@given(end=st.integers(0, len(WHOLE) - 2), places=st.lists(st.integers(0, 10_000), max_size=5))
def test_a_stream_that_is_cut_anywhere_is_an_error(read: Read, end: int, places: list[int]) -> None:
    with pytest.raises(FailedError, match="ended before the answer did"):
        read(answering(split_at(WHOLE[:end], places), {"content-type": "text/event-stream"}))


def answer_twice(listener: socket.socket, rest: bytes | None) -> None:
    """Stream an answer, then something else, and hang up; with nothing else, wait until the client hangs up."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    for _ in range(2):
        with listener.accept()[0] as connection:
            asked = b""
            while not asked.endswith(b"}"):
                asked += connection.recv(65536)
            connection.sendall(head + f"{len(WHOLE):x}\r\n".encode() + WHOLE + b"\r\n" + (rest or b""))
            if rest is None:
                connection.recv(1)


@pytest.mark.parametrize("rest", [None, b"", b"no chunk"], ids=["silent", "cut", "garbage"])
def test_an_answer_stands_whatever_becomes_of_its_stream_afterwards(rest: bytes | None) -> None:
    async def awaited(url: str) -> list[StreamEvent]:
        async with AsyncClient(url, timeout_s=0.5) as client:
            return [event async for event in client.stream("Why?")]

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        served = pool.submit(answer_twice, listener, rest)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, timeout_s=0.5) as client:
            events = list(client.stream("Why?"))
        assert asyncio.run(awaited(url)) == events
        served.result()
    assert isinstance(events[-1], GenerateResponse)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A whole stream or a failed one, with pieces of it replaced by others."""
    data = draw(st.sampled_from([WHOLE, FAILED, b""]))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 40))
        data = data[:start] + draw(PIECES) + data[start + length :]
    return data


@pytest.mark.bad_input
@pytest.mark.parametrize("read", READERS)
@settings(max_examples=150, deadline=None)
@given(
    data=damaged(),
    places=st.lists(st.integers(0, 10_000), max_size=5),
    charset=st.sampled_from(CHARSETS),
    coding=st.sampled_from(CODINGS),
    status=st.sampled_from([200, 200, 200, 204, 301, 404, 429, 503]),
)
def test_damaged_streams_give_events_or_are_refused_by_an_error_of_the_client(
    read: Read, data: bytes, places: list[int], charset: str, coding: str, status: int
) -> None:
    headers = {"content-type": f"text/event-stream{charset}", "content-encoding": coding, "retry-after": "²"}
    try:
        events = read(answering(split_at(data, places), headers, status))
    except ServiceError:
        return
    assert isinstance(events[-1], GenerateResponse)


@pytest.mark.bad_input
@settings(max_examples=100, deadline=None)
@given(
    data=st.one_of(st.binary(max_size=300), damaged()), status=st.integers(200, 599), coding=st.sampled_from(CODINGS)
)
def test_whatever_a_server_answers_is_refused_by_an_error_of_the_client(data: bytes, status: int, coding: str) -> None:
    transport = answering([data], {"content-type": "application/json", "content-encoding": coding}, status)
    with Client(URL, http=httpx.Client(transport=transport, base_url=URL)) as client, pytest.raises(ServiceError):
        client.generate("Why?")
