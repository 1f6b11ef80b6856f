"""The end of a running service: not ready at once, then no new questions, and over when the running ones have ended."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.problems import ENDING, problem, problem_response

PROBED = frozenset({"/health", "/ready", "/metrics"})
"""Asked by machines every few seconds; answered to the very end."""


class Draining:
    """How far the end has come. It is begun in a signal handler, the rest happens on the event loop.

    Args:
        notice_s: Seconds from the begin on in which questions are still taken, though the service is not ready any
            more: whoever looks at readiness sends them elsewhere from then on.
        drain_s: Seconds that running requests get after that.
        clock: Seconds that only grow.
    """

    def __init__(self, *, notice_s: float, drain_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._notice_s = notice_s
        self._drain_s = drain_s
        self._clock = clock
        self._begun: float | None = None
        self._in_flight = 0

    @property
    def has_begun(self) -> bool:
        """Whether the service is about to end."""
        return self._begun is not None

    @property
    def refuses(self) -> bool:
        """Whether new questions are refused."""
        return self._begun is not None and self._clock() >= self._begun + self._notice_s

    @property
    def is_over(self) -> bool:
        """Whether nothing holds the end up any more: no request is in flight, or all time is used."""
        return self.refuses and (self._in_flight == 0 or self.seconds_left == 0.0)

    @property
    def seconds_left(self) -> float:
        """For requests in flight; all of it where the end has not begun."""
        if self._begun is None:
            return self._notice_s + self._drain_s
        return max(0.0, self._begun + self._notice_s + self._drain_s - self._clock())

    def begin(self) -> None:
        """The service is about to end. Beginning twice does nothing."""
        if self._begun is None:
            self._begun = self._clock()

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request until the block ends."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1


class DrainGate:
    """Counts requests in flight, refuses new ones when the time has come, and has clients leave their connections.

    A client that keeps its connection would go on asking a service that is about to end, however many others there are.
    One that still sends when its connection is closed sees a reset in place of the answer: so its body is taken first,
    for `body_s` seconds at the most.
    """

    def __init__(self, app: ASGIApp, *, draining: Draining, retry_after_s: int, body_s: float = 2.0) -> None:
        self.app = app
        self.draining = draining
        self.retry_after_s = retry_after_s
        self.body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's interface of an app."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        body = _Body(receive)

        async def send_and_leave(message: Message) -> None:
            if message["type"] == "http.response.start" and self.draining.has_begun:
                await body.discard(self.body_s)
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        if scope["path"] in PROBED:
            await self.app(scope, body.receive, send_and_leave)
        elif self.draining.refuses:
            detail = "the service is about to end and takes no more questions; ask another one, or this one later"
            document = problem(ENDING, detail, scope["state"]["request_id"])
            refusal = problem_response(document, {"Retry-After": str(self.retry_after_s)})
            await refusal(scope, body.receive, send_and_leave)
        else:
            with self.draining.in_flight():
                await self.app(scope, body.receive, send_and_leave)


class _Body:
    """A request's body: whether all of it has come."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._ended = False

    async def receive(self) -> Message:
        """What comes next of it; then the client's leaving."""
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        return message

    async def discard(self, seconds: float) -> None:
        """Take what is still to come, as far as it comes in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not self._ended:
                    await self.receive()
