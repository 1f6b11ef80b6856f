"""Running the app under uvicorn: load, listen, say so, drain on SIGTERM."""

import asyncio
import logging
import signal
import socket
from contextlib import AsyncExitStack

import uvicorn

from service.app import create_app
from service.logs import log_as_json
from service.observe.tracing import open_tracing
from service.preflight import check_and_bind
from service.settings import ServeSettings

logger = logging.getLogger(__name__)

_FORCED_END_S = 2  # after the drain, when streams are cancelled already, until uvicorn cancels what still runs


def serve(settings: ServeSettings) -> None:
    """Serve until SIGTERM or SIGINT, then let running answers end within `drain_s` seconds.

    Raises:
        InputError: Settings are wrong; all problems are named. Or traces are asked for and cannot be made.
        PairError, StoreError: The pair or the index cannot be loaded.
    """
    log_as_json()
    listener = check_and_bind(settings)
    with listener:
        asyncio.run(_serve(settings, listener))


async def _serve(settings: ServeSettings, listener: socket.socket) -> None:
    tracing = open_tracing()
    app = create_app(settings, tracing)
    config = uvicorn.Config(
        app,
        lifespan="off",  # entered here, so that an error while loading comes out as itself and nothing listens before
        log_config=None,
        access_log=False,  # RequestContext writes it, with the request id and the timings
        server_header=False,
        timeout_graceful_shutdown=settings.drain_s + _FORCED_END_S,
    )
    server = _Server(config)
    async with AsyncExitStack() as stack:
        if tracing:
            stack.callback(tracing.close)
        await stack.enter_async_context(app.router.lifespan_context(app))
        # uvicorn raises a signal again after its drain, which by default ends the process before it has cleaned up.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, server.handle_exit)
        await server.serve([listener])


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or []:
            host, port = listener.getsockname()[:2]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            logger.info("listening on %s", url, extra={"fields": {"url": url}})
