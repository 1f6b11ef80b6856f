"""Connections whose requests do not begin in time are closed; those that do are left alone."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from service import punctual
from service.punctual import PunctualProtocol

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answers after twice the time that a head may take."""
    await asyncio.sleep(0.6)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(punctual, "HEAD_S", 0.3)
    config = uvicorn.Config(app, lifespan="off", http=PunctualProtocol, log_config=None, access_log=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.startup([listener])
        yield listener.getsockname()[1]
        await server.shutdown([listener])


async def trickled(port: int, pieces: list[bytes]) -> bytes:
    """What comes back for pieces with a pause of 0.1 s after each, until the service closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.1)
    came = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return came


@pytest.mark.bad_input
@pytest.mark.parametrize("pieces", [[b""], [b"G", b"E"], [b"GET / HTTP/1.1\r\n", b"Host: localhost\r\n"]])
async def test_a_head_that_does_not_arrive_is_refused_by_closing(
    monkeypatch: pytest.MonkeyPatch, pieces: list[bytes]
) -> None:
    async with served(monkeypatch) as port:
        assert await trickled(port, pieces) == b""


async def test_an_answer_may_take_longer_and_the_connection_serves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(GET)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
        writer.close()


@pytest.mark.bad_input
async def test_the_head_of_a_second_request_must_arrive_in_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(monkeypatch) as port:
        came = await trickled(port, [GET, *[b""] * 7, b"GET / HT", b"TP/1.1\r\n"])
    assert came.count(b"HTTP/1.1 200") == 1
