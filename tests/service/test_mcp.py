"""The tools of the Model Context Protocol, asked with the protocol's own client: they do what the routes do."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
import pytest
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from semiparametric.errors import InputError
from service.app import create_app
from service.settings import ServeSettings
from tests.service.running import client_of, running_app

QUESTION = "What does the keeper write down?"
SETTINGS = {"retrieval": "first", "max_new_tokens": 12}
URL = "http://127.0.0.1/mcp"
Mode = Literal["auto", "legacy"]


@asynccontextmanager
async def tools_of(mode: Mode = "auto", **settings: Any) -> AsyncIterator[tuple[Client, FastAPI]]:
    app = create_app(ServeSettings(mcp=True, **settings))
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app)) as http,
        Client(streamable_http_client(URL, http_client=http), mode=mode) as client,
    ):
        yield client, app


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


async def test_the_tools_are_listed_with_what_they_take_and_give(tiny_pair: Path, index: Path) -> None:
    async with tools_of(pair=tiny_pair, index=index) as (client, _):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"retrieve", "generate"}
    assert tools["generate"].input_schema["required"] == ["question"]
    assert {"question", "index", "filter", "top_k"} <= set(tools["generate"].input_schema["properties"])
    assert not {"stream", "questions"} & set(tools["generate"].input_schema["properties"])
    assert tools["retrieve"].output_schema is not None


@pytest.mark.parametrize("mode", ["auto", "legacy"])  # the protocol as of 2026, and with the handshake of before
async def test_a_tool_says_what_its_route_says(tiny_pair: Path, index: Path, mode: Mode) -> None:
    async with tools_of(mode, pair=tiny_pair, index=index) as (client, app), client_of(app) as http:
        answered = await client.call_tool("generate", {"question": QUESTION} | SETTINGS)
        found = await client.call_tool("retrieve", {"query": "the tide", "top_k": 2, "filter": {"place": "mill"}})
        whole = (await http.post("/generate", json={"question": QUESTION} | SETTINGS)).json()
    assert not answered.is_error
    assert answered.structured_content is not None
    assert answered.structured_content | {"timings": None} == whole | {"timings": None}
    assert json.loads(text_of(answered)) == answered.structured_content
    assert found.structured_content is not None
    assert {passage["id"] for passage in found.structured_content["passages"]} == {"tide", "wheel"}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("generate", {"question": " "}, "question: it is empty or white space only"),
        ("generate", {"question": QUESTION, "top_k": 0}, "top_k: got 0; it should be greater than or equal to 1"),
        ("generate", {"question": QUESTION, "stream": True}, "stream: a tool has no such argument"),
        ("generate", {"questions": [QUESTION]}, "questions: a tool has no such argument"),
        ("generate", {"question": QUESTION, "index": "large"}, "there is no index 'large'; served here: 'small'"),
        ("generate", {"question": "long " * 600}, "tokens with its prompt"),
        ("retrieve", {}, "query: it is missing"),
        ("retrieve", {"query": "tide", "candidates": ["Lampe"]}, "the index has no passage 'Lampe'"),
        ("reload", {}, "there is no such tool; the tools are generate and retrieve"),
        ("../indexes", {}, "there is no such tool"),
    ],
)
@pytest.mark.bad_input
async def test_wrong_arguments_are_refused_by_the_routes_own_rules(
    tiny_pair: Path, index: Path, name: str, arguments: dict[str, Any], message: str
) -> None:
    async with tools_of(pair=tiny_pair, index=index) as (client, _):
        result = await client.call_tool(name, arguments)
    assert result.is_error
    assert message in text_of(result)


async def test_what_fails_inside_a_tool_is_told_without_internals(tiny_pair: Path, index: Path) -> None:
    async with tools_of(pair=tiny_pair, index=index) as (client, app):
        await app.state.resources.engine.stop()
        result = await client.call_tool("generate", {"question": QUESTION})
    assert result.is_error
    assert text_of(result) == "The cause stands in the service's log under this request id."


CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"accept": "application/json, text/event-stream"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8000"}, 200),
        ({"host": "rebound.example"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://10.0.0.7:8000"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"content-type": "text/plain"}, 400),
        ({"accept": "text/html"}, 406),
    ],
)
async def test_pages_that_point_a_name_of_theirs_at_the_service_are_refused(
    tiny_pair: Path, index: Path, headers: dict[str, str], status: int
) -> None:
    async with running_app(pair=tiny_pair, index=index, mcp=True) as http:
        reply = await http.post(URL, json=CALL, headers=ACCEPT | headers)
        assert reply.status_code == status, reply.text
        assert (await http.get(URL)).status_code == 405


async def test_behind_a_proxy_the_name_that_it_passes_on_is_allowed(tiny_pair: Path, index: Path) -> None:
    settings: dict[str, Any] = {
        "mcp": True,
        "allowed_hosts": ["ask.example.org"],
        "cors_origins": ["https://a.example"],
    }
    async with running_app(pair=tiny_pair, index=index, **settings) as http:

        async def status(**headers: str) -> int:
            return (await http.post(URL, json=CALL, headers=ACCEPT | headers)).status_code

        assert await status(host="ask.example.org", origin="https://ask.example.org") == 200
        assert await status(host="127.0.0.1:8000", origin="https://ask.example.org") == 200
        assert await status(host="ask.example.org", origin="https://a.example") == 200
        assert await status(host="ask.example.org", origin="https://evil.example") == 403
        assert await status(host="evil.example", origin="https://evil.example") == 421


def nested(depth: int) -> bytes:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "retrieve", "arguments": "@"}}
    return json.dumps(call).replace('"@"', '{"query": ' + "[" * depth + "]" * depth + "}").encode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[" * 100_000,
        nested(100),
        nested(900),
        nested(990),
        nested(100_000),
        b'{"jsonrpc": "2.0"}',
        b'"' + b"a" * 300_000 + b'"',
    ],
)
@pytest.mark.bad_input
async def test_a_body_that_is_no_message_of_the_protocol_is_refused(
    tiny_pair: Path, index: Path, content: bytes
) -> None:
    async with running_app(pair=tiny_pair, index=index, mcp=True) as http:
        reply = await http.post(URL, content=content, headers=ACCEPT | {"content-type": "application/json"})
        assert reply.status_code in {400, 413}, reply.text


async def test_there_are_no_tools_where_they_are_not_switched_on(tiny_pair: Path, index: Path) -> None:
    async with running_app(pair=tiny_pair, index=index) as http:
        assert (await http.post("/mcp", json=CALL, headers=ACCEPT)).status_code == 404


def test_a_missing_sdk_is_refused_with_the_command_that_installs_it(
    tiny_pair: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.app.find_spec", lambda _name: None)
    with pytest.raises(
        InputError, match=r"mcp: the SDK is not installed. Install it with `pip install 'cosup\[mcp\]'`"
    ):
        create_app(ServeSettings(pair=tiny_pair, index=index, mcp=True))
