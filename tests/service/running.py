"""The app in this process with its lifespan, and a client that talks to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from starlette.types import ASGIApp

from service.app import create_app
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
