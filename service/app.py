"""The service as a FastAPI app. Nothing is loaded on import: the app loads in its lifespan."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware

from semiparametric.errors import InputError
from service.draining import DrainGate, Draining
from service.hosts import HostGuard, hosts_of
from service.index_watch import watch
from service.keys.guard import KeyGuard
from service.keys.limits import KeyLimits
from service.keys.ring import KeyRing
from service.maps import Maps
from service.middleware import BodyLimit, RequestContext
from service.observe.metrics import Metrics
from service.observe.state import StateCollector
from service.openai_api.errors import OpenAIErrors
from service.openapi import mend
from service.passage_encoder import load_passage_encoder
from service.reference_page import reference_page
from service.refusals import add_handlers, unexpected
from service.resources import open_resources
from service.routes import chat, embeddings, generate, health, indexes, maps, metrics, models, page, retrieve
from service.security_headers import SecurityHeaders
from service.settings import ServeSettings

if TYPE_CHECKING:
    from service.mcp_tools import McpTools
    from service.observe.spans import Tracing


class _Service(FastAPI):
    """An app whose description tells of problem documents and keys too."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        mend(document, self.state.settings)
        return document


def create_app(settings: ServeSettings, tracing: "Tracing | None" = None) -> FastAPI:
    """A service over one pair and its indexes.

    The lifespan loads them and refuses an index that is not the pair's (PairError, StoreError); until it has, `/ready`
    and the routes that need them answer 503.

    Args:
        settings: What is served, and how.
        tracing: Where traces go (`service.observe.tracing.open_tracing`); None makes none.

    Raises:
        InputError: The file of keys cannot be read, or a setting asks for a library that is not installed.
    """
    app = _Service(
        title="Cosup",
        version=version("cosup"),
        summary="Answers questions with cited passages, looked up with the model's own hidden state.",
        lifespan=_lifespan,
        generate_unique_id_function=lambda route: route.name,
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere; `/docs` is the page's own
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.resources = None
    app.state.metrics = Metrics(StateCollector(lambda: app.state.resources))
    app.state.observers = (app.state.metrics, *([tracing] if tracing else []))
    app.state.draining = Draining(notice_s=settings.notice_s, drain_s=settings.drain_s)
    app.state.passage_encoder = None
    app.state.maps = Maps()
    app.state.reference_page = cache(lambda: reference_page(app.openapi()))
    for routes in (generate, retrieve, indexes, maps, chat, models, embeddings, health, metrics, page):
        app.include_router(routes.router)
    app.mount("/page", page.PageFiles(), name="page")
    app.state.mcp_tools = _mcp_tools(app, settings)
    add_handlers(app, retry_after_s=settings.retry_after_s)
    _surround(app, settings, tracing)
    return app


def _surround(app: FastAPI, settings: ServeSettings, tracing: "Tracing | None") -> None:
    """What is around every route; the last one added is the outermost."""
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes, timeout_s=settings.timeout_s)
    ring = None if settings.keys is None else KeyRing(settings.keys)
    app.add_middleware(KeyGuard, ring=ring, limits=KeyLimits(retry_after_s=settings.retry_after_s))
    app.add_middleware(HostGuard, hosts=hosts_of(settings))
    app.add_middleware(ExceptionMiddleware, handlers={Exception: unexpected})
    app.add_middleware(DrainGate, draining=app.state.draining, retry_after_s=settings.retry_after_s)
    app.add_middleware(OpenAIErrors)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After"],
        )
    app.add_middleware(SecurityHeaders)
    if tracing:
        app.add_middleware(tracing.around)
    app.add_middleware(RequestContext, ended=app.state.metrics.request_ended)


def _mcp_tools(app: FastAPI, settings: ServeSettings) -> "McpTools | None":
    if not settings.mcp:
        return None
    if find_spec("mcp") is None:
        raise InputError("the SDK is not installed", where="mcp", remedy="Install it with `pip install 'cosup[mcp]'`")
    from service.mcp_tools import McpTools

    tools = McpTools(app, settings)
    app.router.routes.append(tools.route())
    return tools


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServeSettings = app.state.settings
    async with open_resources(settings, max_sessions=settings.max_sessions, queue=settings.queue) as resources:
        if settings.embeddings:
            app.state.passage_encoder = await asyncio.to_thread(load_passage_encoder, settings)
        app.state.resources = replace(resources, observers=app.state.observers)
        tools: McpTools | None = app.state.mcp_tools
        following = asyncio.create_task(watch(resources.indexes, settings.watch_s)) if settings.watch_s else None
        try:
            async with tools.running() if tools else nullcontext():
                yield
        finally:
            app.state.resources = None
            if following is not None:
                following.cancel()
                await asyncio.wait({following})
            await app.state.maps.close()
