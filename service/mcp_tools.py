"""`retrieve` and `generate` as tools of the Model Context Protocol, over streamable HTTP at `/mcp`.

A call of a tool is a request to the route of that name, made inside the process with what the asking client may do: so
the two cannot differ, neither in their rules nor in what a key may read. No session is kept between calls, so any copy
of the service behind a balancer can take any of them. This is the only module that imports the SDK.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, cast

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from mcp.server import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
    ToolAnnotations,
)
from pydantic import BaseModel, JsonValue
from starlette.datastructures import Headers
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.disconnects import ClientGone, while_connected
from service.hosts import hosts_of
from service.refusals import unexpected
from service.schemas import GenerateRequest, GenerateResponse, RetrieveRequest, RetrieveResponse
from service.settings import ServeSettings

_NOT_FOR_TOOLS = frozenset({"questions", "stream", "lookups"})
_DEEPEST = 32
_TRUSTING = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # `HostGuard` stands before all routes
_INSTRUCTIONS = (
    "Answers questions from the documents of this service. `generate` writes an answer with citations, "
    "`retrieve` finds the passages nearest to a query."
)

Call = Callable[[Request, str, dict[str, Any]], Awaitable[CallToolResult]]


class McpTools:
    """The endpoint, to be run in the app's lifespan.

    Args:
        app: The service, whose routes the tools call.
        settings: The app's.
    """

    def __init__(self, app: FastAPI, settings: ServeSettings) -> None:
        self._app = app
        self._hosts = hosts_of(settings)
        self._origins = frozenset(settings.cors_origins)
        self._manager = StreamableHTTPSessionManager(
            _server(self._call),
            json_response=True,
            stateless=True,
            security_settings=_TRUSTING,
            max_request_body_size=settings.max_body_bytes,
        )

    def route(self) -> Route:
        """What the app listens with. There is no stream to GET and no session to DELETE."""
        return Route("/mcp", self, methods=["POST"], name="mcp")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers inside of this block. It is entered once."""
        async with self._manager.run():
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's interface of an app. A client that hangs up ends the work of its call."""
        self._refuse_other_pages(Headers(scope=scope))
        message = await receive()  # the whole body, as `BodyLimit` gives it
        _refuse_what_is_no_message(message.get("body", b""))
        work = self._manager.handle_request(scope, _body_alone(message), send)
        try:
            await while_connected(Request(scope, receive), work)
        except ClientGone:
            return

    def _refuse_other_pages(self, headers: Headers) -> None:
        """403 for the page of another origin, as the protocol asks, unless it may ask the service at all."""
        origin = headers.get("origin")
        if origin is None or self._origins & {origin, "*"}:
            return
        host = origin.partition("://")[2]
        if host != headers.get("host") and not self._hosts.include_page(host):
            raise HTTPException(403, "pages of another origin may not call tools, unless cors_origins names it")

    async def _call(self, request: Request, path: str, arguments: dict[str, Any]) -> CallToolResult:
        transport = httpx.ASGITransport(self._as(request))
        async with httpx.AsyncClient(transport=transport, base_url="http://tool") as client:
            reply = await client.post(path, json=arguments)
        if not reply.is_success:
            return _refusal(reply.json()["detail"])
        return CallToolResult(content=[TextContent(text=reply.text)], structured_content=reply.json())

    def _as(self, request: Request) -> ASGIApp:
        """The routes of the app, without what stands around them, for what the asking client may do."""
        handlers = {**self._app.exception_handlers, Exception: unexpected}
        routes = ExceptionMiddleware(AsyncExitStackMiddleware(self._app.router), handlers=handlers)

        async def inner(scope: Scope, receive: Receive, send: Send) -> None:
            await routes({**scope, "app": self._app, "state": request.scope["state"]}, receive, send)

        return inner


def _server(call: Call) -> Server[Any]:
    async def list_tools(_context: ServerRequestContext, _params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=TOOLS)

    async def call_tool(context: ServerRequestContext, params: CallToolRequestParams) -> CallToolResult:
        arguments = params.arguments or {}
        if params.name not in {tool.name for tool in TOOLS}:
            return _refusal("there is no such tool; the tools are generate and retrieve")
        for field in _NOT_FOR_TOOLS.intersection(arguments):
            return _refusal(f"{field}: a tool has no such argument")
        return await call(cast(Request, context.request), f"/{params.name}", arguments)

    return Server(
        "cosup",
        version=version("cosup"),
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _refusal(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=text)], is_error=True)


def _tool(name: str, title: str, description: str, asked: type[BaseModel], told: type[BaseModel]) -> Tool:
    schema = asked.model_json_schema()
    schema["properties"] = {key: value for key, value in schema["properties"].items() if key not in _NOT_FOR_TOOLS}
    schema.pop("examples", None)
    if schema.pop("oneOf", None):
        schema["required"] = ["question"]
    return Tool(
        name=name,
        title=title,
        description=description,
        input_schema=schema,
        output_schema=told.model_json_schema(mode="serialization"),
        annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
    )


TOOLS = [
    _tool(
        "retrieve",
        "Find passages",
        "Find the passages of the documents that are nearest to a query, best first.",
        RetrieveRequest,
        RetrieveResponse,
    ),
    _tool(
        "generate",
        "Answer a question",
        "Answer a question from the documents. Citations tell by start and end, in characters of the answer, what is "
        "taken from which passage.",
        GenerateRequest,
        GenerateResponse,
    ),
]


def _refuse_what_is_no_message(body: bytes) -> None:
    """400 for what is no JSON, or is nested as no message is: in the SDK both can end as a failure of the service."""
    try:
        level = [json.loads(body)]
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "the body is not JSON, or nested too deep") from error
    for _ in range(_DEEPEST):
        level = [inner for one in level for inner in _inside(one)]
    if level:
        raise HTTPException(400, f"the body is nested more than {_DEEPEST} levels deep")


def _inside(value: JsonValue) -> Iterable[JsonValue]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _body_alone(message: Message) -> Receive:
    """A `receive` that gives this message, the whole body, and then waits: whether the client left is asked outside."""
    waiting = [message]

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    return receive
