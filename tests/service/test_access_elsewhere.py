"""The walls between indexes hold for OpenAI's routes and for tools too: a key reads its own indexes alone."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import httpx2
import openai
import openapi_spec_validator
import pytest
import pytest_asyncio
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from semiparametric.formats import Passage
from service.app import create_app
from service.client import AsyncClient, KeyRefusedError, NotFoundError
from service.keys.key_file import create_key
from service.settings import ServeSettings
from tests.service.running import client_of
from tests.small_index import build_small_index

pytestmark = pytest.mark.bad_input

HIDDEN = [Passage(id="vault-1", title="vault", text="The vault's combination.", metadata={"clearance": "high"})]
QUESTION: list[Any] = [{"role": "user", "content": "What is the vault's combination?"}]
LOOKUP = {"retrieval": "first"}


@pytest.fixture
def reader(tmp_path: Path) -> str:
    return create_key(tmp_path / "keys.json", "reader", ["small"]).get_secret_value()


@pytest_asyncio.fixture
async def app(tiny_pair: Path, tmp_path: Path, reader: str) -> AsyncIterator[FastAPI]:
    hidden = build_small_index(tiny_pair, tmp_path / "hidden", passages=HIDDEN, name="hidden")
    small = build_small_index(tiny_pair, tmp_path / "small")
    app = create_app(ServeSettings(pair=tiny_pair, index=[hidden, small], keys=tmp_path / "keys.json"))
    async with app.router.lifespan_context(app):
        yield app


def openai_client(http: httpx.AsyncClient, key: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url="http://localhost/v1", api_key=key, http_client=http, max_retries=0)


async def test_a_chat_reads_no_index_that_its_key_may_not(reader: str, app: FastAPI) -> None:
    async with client_of(app) as http:
        client = openai_client(http, reader)
        completion = await client.chat.completions.create(
            model="tiny", messages=QUESTION, extra_body=LOOKUP, max_tokens=4
        )
        assert (completion.model_extra or {})["index"]["name"] == "small"
        for tried in ({"index": "hidden"}, {"index": "../hidden"}, {"index": "hidden\0"}):
            with pytest.raises(openai.NotFoundError, match="served here: 'small'"):
                await client.chat.completions.create(model="tiny", messages=QUESTION, extra_body=tried)
        for narrowed in ({"candidates": ["vault-1"]}, {"filter": {"clearance": "high"}}):
            with pytest.raises(openai.BadRequestError) as refused:
                await client.chat.completions.create(model="tiny", messages=QUESTION, extra_body=narrowed)
            assert "combination" not in str(refused.value)


async def test_routes_of_openai_refuse_a_wrong_key_in_openais_form(reader: str, app: FastAPI) -> None:
    async with client_of(app) as http:
        client = openai_client(http, f"{reader}x")
        with pytest.raises(openai.AuthenticationError, match="send a key of this service"):
            await client.chat.completions.create(model="tiny", messages=QUESTION)
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
        with pytest.raises(openai.AuthenticationError):
            await client.embeddings.create(model="tiny", input="a")


async def test_our_client_sends_its_key(reader: str, app: FastAPI) -> None:
    async with client_of(app) as http:
        with pytest.raises(KeyRefusedError):
            await AsyncClient("http://localhost", http=http).indexes()
        http.headers["Authorization"] = f"Bearer {reader}"
        client = AsyncClient("http://localhost", http=http)
        assert [index.name for index in (await client.indexes()).indexes] == ["small"]
        with pytest.raises(NotFoundError):
            await client.generate_many(["a"], index="hidden")


async def test_a_tool_reads_no_index_that_the_key_of_its_caller_may_not(
    tiny_pair: Path, tmp_path: Path, reader: str
) -> None:
    hidden = build_small_index(tiny_pair, tmp_path / "hidden", passages=HIDDEN, name="hidden")
    small = build_small_index(tiny_pair, tmp_path / "small")
    app = create_app(ServeSettings(pair=tiny_pair, index=[hidden, small], keys=tmp_path / "keys.json", mcp=True))
    url, headers = "http://127.0.0.1/mcp", {"Authorization": f"Bearer {reader}"}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), headers=headers) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        found = await client.call_tool("retrieve", {"query": "the vault's combination", "top_k": 100})
        named = await client.call_tool("retrieve", {"query": "the vault's combination", "index": "hidden"})
        without_key = await http.post(url, json={}, headers={"Authorization": ""})
    assert found.structured_content["index"]["name"] == "small"
    assert "vault" not in str(found.structured_content)
    assert named.is_error
    assert without_key.status_code == 401


async def test_the_description_tells_of_keys_in_the_form_of_each_route(app: FastAPI) -> None:
    document = app.openapi()
    openapi_spec_validator.validate(document)
    refused = document["paths"]["/v1/chat/completions"]["post"]["responses"]["401"]["content"]
    assert refused == {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorReply"}}}
    assert "application/problem+json" in document["paths"]["/generate"]["post"]["responses"]["401"]["content"]
