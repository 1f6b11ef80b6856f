"""Around every request: an id, one access log line, and a bound on the body."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.keys.key import NOBODY
from service.logs import REQUEST_FIELDS
from service.problems import SLOW_BODY, TOO_LARGE, problem, problem_response

logger = logging.getLogger("service.access")

_DISCARDED_BODIES = 16
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True)
class RequestEnd:
    """How a request ended.

    route: template of the route that took it; None where no route did.
    status: 499 where the client left before any answer.
    finished: whether the whole response left.
    """

    method: str
    route: str | None
    status: int
    finished: bool
    duration_s: float


class RequestContext:
    """Gives each request an id (the client's own X-Request-Id where it is harmless) and writes its access log line.

    All log lines of the request carry the id. Routes leave their stage timings, in seconds, in `request.state.timings`;
    `request.state.status` is the status that the client was told.

    Args:
        app: What is inside.
        ended: Called when a request has ended, in whatever way.
    """

    def __init__(self, app: ASGIApp, *, ended: Callable[[RequestEnd], None]) -> None:
        self.app = app
        self.ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's interface of an app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(Headers(scope=scope))
        state["timings"] = {}
        state["access"] = NOBODY  # until the guard has looked
        state["status"], finished = 499, False  # what stays when the client leaves before any answer
        fields = REQUEST_FIELDS.set({"request_id": state["request_id"]})
        start = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal finished
            if message["type"] == "http.response.start":
                state["status"] = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = state["request_id"]
            finished = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        finally:
            duration_s = time.perf_counter() - start
            end = RequestEnd(scope["method"], route_of(scope), state["status"], finished, duration_s)
            _write_access_line(scope, end)
            self.ended(end)
            REQUEST_FIELDS.reset(fields)


class BodyLimit:
    """Reads each request's body whole, and refuses one of more than `max_body_bytes`, declared length or not.

    An oversized body is read to its end and thrown away, up to `_DISCARDED_BODIES` times the limit, because a client
    that is still sending never sees an answer that comes before. One that has not arrived in `timeout_s` seconds is
    refused too, so that clients who send a byte now and then hold nothing.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, timeout_s: float) -> None:
        self.app = app
        self.max_body_bytes = max_body_bytes
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's interface of an app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.timeout_s):
                body, length = await self._read(receive)
        except TimeoutError:
            detail = f"the body had not arrived after {self.timeout_s:g} s; send it faster"
            await problem_response(problem(SLOW_BODY, detail, scope["state"]["request_id"]))(scope, receive, send)
            return
        if body is None:
            return  # the client left
        if length > self.max_body_bytes:
            detail = f"the body has more than {self.max_body_bytes} bytes; send a shorter request"
            document = problem(TOO_LARGE, detail, scope["state"]["request_id"])
            await problem_response(document)(scope, receive, send)
            return
        await self.app(scope, _replayed(body, receive), send)

    async def _read(self, receive: Receive) -> tuple[bytes | None, int]:
        """The body, none where the client left, and how many bytes came; past the limit they are counted, not kept."""
        chunks: list[bytes] = []
        length = 0
        while length <= _DISCARDED_BODIES * self.max_body_bytes:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None, length
            chunk = message.get("body", b"")
            length += len(chunk)
            if length <= self.max_body_bytes:
                chunks.append(chunk)
            if not message.get("more_body", False):
                break
        return b"".join(chunks), length


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the whole body first and then whatever the connection gives, which is its end."""
    waiting = [body]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    if _REQUEST_ID.fullmatch(given):
        return given
    return f"{random.getrandbits(128):032x}"  # uuid4 gives up the interpreter's lock, and may wait for it


def route_of(scope: Scope) -> str | None:
    """The template of the route that took the request, such as `/indexes/{name}`; None where no route did."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None


def _write_access_line(scope: Scope, end: RequestEnd) -> None:
    client = scope.get("client")
    fields = {
        "method": end.method,
        "path": scope["path"],
        "route": end.route,
        "status": end.status,
        "finished": end.finished,
        "duration_s": round(end.duration_s, 4),
        "client": client[0] if client else None,
        "key": scope["state"]["access"].key,
        "timings_s": {stage: round(seconds, 4) for stage, seconds in scope["state"]["timings"].items()},
    }
    logger.info("request", extra={"fields": fields})
