"""What runs in this process: the app with its lifespan and a client that talks to it, or an engine alone."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp

from semiparametric.pair import Gen
from service.app import create_app
from service.engines.transformers import TransformersEngine
from service.settings import ServeSettings


@asynccontextmanager
async def client_of(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@asynccontextmanager
async def running_app(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(ServeSettings(**settings))
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


@asynccontextmanager
async def running_engine(gen: Gen, **settings: Any) -> AsyncIterator[TransformersEngine]:
    engine = TransformersEngine(gen, **settings)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
