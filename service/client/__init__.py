"""Clients of a running service: `Client` waits, `AsyncClient` awaits. They need neither a pair nor an index."""

from service.client.async_client import AsyncClient
from service.client.errors import (
    BusyServiceError,
    FailedError,
    KeyRefusedError,
    NotFoundError,
    RequestError,
    ServiceError,
    UnreachableError,
)
from service.client.requests import AnswerOptions, LookupOptions, StreamEvent
from service.client.sync_client import Client
from service.schemas import (
    CitationResult,
    GenerateResponse,
    IndexesResponse,
    RetrievalData,
    RetrieveResponse,
    TokenData,
)

__all__ = [
    "AnswerOptions",
    "AsyncClient",
    "BusyServiceError",
    "CitationResult",
    "Client",
    "FailedError",
    "GenerateResponse",
    "IndexesResponse",
    "KeyRefusedError",
    "LookupOptions",
    "NotFoundError",
    "RequestError",
    "RetrievalData",
    "RetrieveResponse",
    "ServiceError",
    "StreamEvent",
    "TokenData",
    "UnreachableError",
]
