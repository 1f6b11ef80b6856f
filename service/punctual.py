"""HTTP connections whose requests begin in time. uvicorn alone waits for ever for the rest of a request's head."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 30
"""Seconds in which the head of a request, its first line and its headers, must have arrived."""


class PunctualProtocol(H11Protocol):
    """Closes a connection that sends the head of its next request too slowly, or goes on sending what nobody reads.

    Without it, clients who send a byte now and then could hold all the connections that the process may have. Bodies
    have a limit of their own (`BodyLimit`), and uvicorn closes connections that are idle between requests.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._too_late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        self._too_late = self.loop.call_later(HEAD_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """A piece of a request has come; the time of its head runs from the first one."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._too_late is None:
            self._too_late = self.loop.call_later(HEAD_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._too_late is not None:
            self._too_late.cancel()
            self._too_late = None
