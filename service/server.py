"""Running the app under uvicorn: load, listen, say so, drain on SIGTERM."""

import asyncio
import logging
import math
import signal
import socket
from contextlib import AsyncExitStack
from types import FrameType

import uvicorn
import uvloop

from service.app import create_app
from service.draining import Draining
from service.logs import log_as_json
from service.observe.tracing import open_tracing
from service.preflight import check_and_bind
from service.punctual import PunctualProtocol
from service.settings import ServeSettings

logger = logging.getLogger(__name__)

_FORCED_END_S = (
    2  # after the drain, when sse-starlette has cancelled all streams, until uvicorn cancels what still runs
)


def serve(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT, then drain: see `Draining`. A second signal ends it at once.

    Raises:
        InputError: Settings are wrong; all problems are named. Or traces are asked for and cannot be made.
        PairError, StoreError: The pair or the index cannot be loaded.
    """
    log_as_json()
    listener = check_and_bind(settings)
    # uvloop sends what a turn wrote at the turn's end, and keeps the interpreter's lock meanwhile. asyncio's own loop
    # lends the lock to the engine for each event of each stream, and waits up to half a millisecond to have it back.
    with listener, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, listener))


async def _serve(settings: ServeSettings, listener: socket.socket) -> None:
    tracing = open_tracing()
    app = create_app(settings, tracing)
    config = uvicorn.Config(
        app,
        lifespan="off",  # entered here, so that an error while loading comes out as itself and nothing listens before
        log_config=None,
        access_log=False,  # RequestContext writes it, with the request id and the timings
        server_header=False,
        http=PunctualProtocol,
        timeout_graceful_shutdown=_FORCED_END_S,
    )
    server = _Server(config, app.state.draining)
    async with AsyncExitStack() as stack:
        if tracing:
            stack.callback(tracing.close)
        await stack.enter_async_context(app.router.lifespan_context(app))
        # uvicorn raises a signal again after its drain, which by default ends the process before it has cleaned up.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.handle_exit)
        await server.serve([listener])


class _Server(uvicorn.Server):
    """Goes on listening while it drains, so that whoever asks is told; uvicorn alone would close its door at once."""

    def __init__(self, config: uvicorn.Config, draining: Draining) -> None:
        super().__init__(config)
        self._draining = draining
        self._has_closed_connections = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain; at a second signal, end at once."""
        if self._draining.has_begun:
            super().handle_exit(sig, frame)
        self._draining.begin()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second: whether to shut down now."""
        if self._draining.refuses and not self._has_closed_connections:
            self._has_closed_connections = True
            for connection in list(self.server_state.connections):
                has_asked = getattr(connection, "cycle", None) is not None
                if has_asked:  # else its first request may be on the way: it is refused, and the connection closed then
                    connection.shutdown()  # at once where it is idle, else after its response
        if self._draining.is_over:
            # What slow clients have not read yet may still leave.
            self.config.timeout_graceful_shutdown = math.ceil(self._draining.seconds_left) + _FORCED_END_S
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            logger.info("listening on %s", url, extra={"fields": {"url": url}})
