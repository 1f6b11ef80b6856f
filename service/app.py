"""The service as a FastAPI app. Nothing is loaded on import: the app loads in its lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.middleware.exceptions import ExceptionMiddleware

from service.middleware import BodyLimit, RequestContext
from service.refusals import add_handlers, unexpected
from service.resources import open_resources
from service.routes import generate, health, retrieve
from service.schemas import Problem
from service.settings import ServeSettings


class _Service(FastAPI):
    """An app whose description knows problem documents: FastAPI knows only models that are answered as plain JSON."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document."""
        document = super().openapi()
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= {**problem.pop("$defs"), "Problem": problem}
        return document


def create_app(settings: ServeSettings) -> FastAPI:
    """A service over one pair and one index.

    The lifespan loads both and refuses an index that is not the pair's (PairError, StoreError); until it has, `/ready`
    and the routes that need them answer 503.
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
    for router in (generate.router, retrieve.router, health.router):
        app.include_router(router)
    add_handlers(app, retry_after_s=settings.retry_after_s)
    # The last one added is the outermost.
    app.add_middleware(BodyLimit, max_body_bytes=settings.max_body_bytes)
    app.add_middleware(ExceptionMiddleware, handlers={Exception: unexpected})
    app.add_middleware(RequestContext)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: ServeSettings = app.state.settings
    async with open_resources(settings, max_sessions=settings.max_sessions, queue=settings.queue) as resources:
        app.state.resources = resources
        try:
            yield
        finally:
            app.state.resources = None
