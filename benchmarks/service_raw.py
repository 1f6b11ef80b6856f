"""Clients that cost next to nothing: what is measured through them is the service, not how a client reads it."""

import asyncio
from collections.abc import Mapping
from time import perf_counter

import httpx

from benchmarks.service_process import raw_post

_END_OF_HEAD = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"  # no event holds this: JSON has no line breaks of its own


class RawConnection(asyncio.Protocol):
    """One connection, kept alive, for one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._whole: asyncio.Future[float] | None = None
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The service took the connection."""
        if isinstance(transport, asyncio.WriteTransport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        """A piece of the response."""
        self._received += data
        if self._whole is not None and not self._whole.done() and _is_whole(self._received):
            self._whole.set_result(perf_counter())

    def connection_lost(self, exc: Exception | None) -> None:
        """The service closed the connection, or it broke."""
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(exc or ConnectionError("the service closed the connection before its answer"))

    @property
    def is_open(self) -> bool:
        """Whether the service has not closed it, as it does with connections that are idle for long."""
        return self._transport is not None and not self._transport.is_closing()

    async def post(self, request: bytes) -> tuple[bytes, float]:
        """Send a request (`raw_post`); the content of its response, a stream's in chunks, and when it had come.

        Raises:
            OSError: The connection is closed, or was before the end of the response, or the service refused.
        """
        if self._transport is None or not self.is_open:
            raise ConnectionError("the connection is closed")
        self._received = bytearray()
        self._whole = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        at = await self._whole
        head, _, content = bytes(self._received).partition(_END_OF_HEAD)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"the service refused: {head.splitlines()[0].decode()} {content.decode()}")
        return content, at

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


def _is_whole(received: bytearray) -> bool:
    end = received.find(_END_OF_HEAD)
    if end < 0:
        return False
    head = bytes(received[:end]).lower()
    if b"\r\ntransfer-encoding: chunked" in head:
        return received.endswith(_LAST_CHUNK)
    length = int(head.partition(b"\r\ncontent-length: ")[2].partition(b"\r\n")[0])
    return len(received) - end - len(_END_OF_HEAD) == length


def last_event(content: bytes) -> bytes:
    """The data of a stream's last event. Each event comes whole in a chunk of its own."""
    return content.rpartition(b"\ndata: ")[2].partition(b"\n")[0]


class RawClients:
    """Connections to one service, each free or in use; one more is made when none is free."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        self._free: list[RawConnection] = []

    async def post(self, path: str, body: Mapping[str, object]) -> tuple[bytes, float]:
        """Post a body as JSON on a free connection; see `RawConnection.post`."""
        self._free = [connection for connection in self._free if connection.is_open]
        connection = self._free.pop() if self._free else await self._connected()
        response = await connection.post(raw_post(str(self._url), path, body))
        self._free.append(connection)
        return response

    async def _connected(self) -> RawConnection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(RawConnection, self._url.host, self._url.port or 80)
        return connection

    def close(self) -> None:
        """Close the connections that are free."""
        for connection in self._free:
            connection.close()
