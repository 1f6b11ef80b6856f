"""The service as a FastAPI app. Nothing is loaded on import: the app loads in its lifespan."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware

from service.index_watch import watch
from service.middleware import BodyLimit, RequestContext
from service.observe.metrics import Metrics
from service.observe.state import StateCollector
from service.refusals import add_handlers, unexpected
from service.resources import open_resources
from service.routes import generate, health, indexes, metrics, retrieve
from service.schemas import Problem
from service.settings import ServeSettings

if TYPE_CHECKING:
    from service.observe.spans import Tracing


class _Service(FastAPI):
    """An app whose description knows problem documents: FastAPI knows only models that are answered as plain JSON."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        schemas = document["components"]["schemas"]
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= {**problem.pop("$defs"), "Problem": problem}
        # FastAPI gives a route with a name in its path a refusal of its own, which no request can meet.
        if schemas.pop("HTTPValidationError", None):
            del schemas["ValidationError"]
            for operation in _operations(document):
                if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                    del operation["responses"]["422"]
        return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def create_app(settings: ServeSettings, tracing: "Tracing | None" = None) -> FastAPI:
    """A service over one pair and its indexes.

    The lifespan loads them and refuses an index that is not the pair's (PairError, StoreError); until it has, `/ready`
    and the routes that need them answer 503.

    Args:
        settings: What is served, and how.
        tracing: Where traces go (`service.observe.tracing.open_tracing`); None makes none.
    """
    app = _Service(
        title="Cosup",
        version=version("cosup"),
        summary="Answers questions with cited passages, looked up with the model's own hidden state.",
        lifespan=_lifespan,
        generate_unique_id_function=lambda route: route.name,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.resources = None
    app.state.metrics = Metrics(StateCollector(lambda: app.state.resources))
    app.state.observers = (app.state.metrics, *([tracing] if tracing else []))
    for router in (generate.router, retrieve.router, indexes.router, health.router, metrics.router):
        app.include_router(router)
    add_handlers(app, retry_after_s=settings.retry_after_s)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(ExceptionMiddleware, handlers={Exception: unexpected})
    if tracing:
        app.add_middleware(tracing.around)
    app.add_middleware(RequestContext, ended=app.state.metrics.request_ended)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServeSettings = app.state.settings
    async with open_resources(settings, max_sessions=settings.max_sessions, queue=settings.queue) as resources:
        app.state.resources = replace(resources, observers=app.state.observers)
        following = asyncio.create_task(watch(resources.indexes, settings.watch_s)) if settings.watch_s else None
        try:
            yield
        finally:
            app.state.resources = None
            if following is not None:
                following.cancel()
                await asyncio.wait({following})
