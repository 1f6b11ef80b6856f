"""Bodies that mean to break what reads them: deep, large, packed, ambiguous. All are refused, none is a failure."""

import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from service.app import create_app
from service.settings import ServeSettings
from tests.service.running import client_of
from tests.small_index import build_small_index

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.bad_input]

BODIES: dict[str, dict[str, Any]] = {
    "/generate": {"question": "Why?", "max_new_tokens": 2},
    "/retrieve": {"query": "Why?"},
    "/v1/chat/completions": {"model": "tiny", "messages": [{"role": "user", "content": "Why?"}], "max_tokens": 2},
    "/v1/embeddings": {"model": "tiny", "input": "Why?"},
}
JSON = {"content-type": "application/json"}
PLACES = {
    "/generate": ["question", "questions", "filter", "candidates", "top_k", "unknown"],
    "/retrieve": ["query", "filter", "index", "min_score"],
    "/v1/chat/completions": [
        "messages",
        "metadata",
        "logit_bias",
        "tools",
        "response_format",
        "stream_options",
        "stop",
    ],
    "/v1/embeddings": ["input", "titles", "dimensions"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    index = build_small_index(tiny_pair, tmp_path_factory.mktemp("index") / "small")
    app = create_app(ServeSettings(pair=tiny_pair, index=[index], embeddings=True))
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


async def refused(
    client: httpx.AsyncClient, path: str, content: bytes, headers: dict[str, str] = JSON
) -> httpx.Response:
    reply = await client.post(path, content=content, headers=headers)
    assert reply.status_code in {400, 404, 413, 415, 422}, (path, content[:80], reply.text[:200])
    assert len(reply.content) < 20_000
    assert reply.json()
    return reply


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("depth", [40, 300, 900, 990, 2000, 60_000])
async def test_nesting_of_any_depth_anywhere_is_refused(client: httpx.AsyncClient, path: str, depth: int) -> None:
    for begin, end in ((b"[", b"]"), (b'{"a":', b"}")):
        deep = begin * depth + b"1" + end * depth
        await refused(client, path, deep)
        for place in PLACES[path]:
            if (place, begin) == ("metadata", b'{"a":'):
                continue  # which may hold anything and is not read
            await refused(client, path, json.dumps(BODIES[path] | {place: "@"}).encode().replace(b'"@"', deep))


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf{",
        b"\xff\xfe{\0}\0",
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": -1e9999}',
        b'{"\\ud800": 1}',
        b'{"\\u0000": "\\u0000"}',
        b'{"__proto__": {}, "constructor": 1}',
        b'{"' + b"a" * 200_000 + b'": 1}',
        b"{" + b",".join(b'"%d":1' % number for number in range(20_000)) + b"}",
        b"[" + b"{}," * 60_000 + b"{}]",
        b" " * 250_000,
        b"null",
        b"{} {}",
        b'{"question": "Why?", "query": "Why?", "model": "tiny", "input": 1, "messages": 1, "question": 2}',
    ],
    ids=lambda content: content[:12].decode(errors="replace"),
)
async def test_what_is_no_request_is_refused(client: httpx.AsyncClient, path: str, content: bytes) -> None:
    await refused(client, path, content)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_a_packed_body_is_never_unpacked(client: httpx.AsyncClient, path: str, coding: str) -> None:
    bomb = gzip.compress(json.dumps(BODIES[path]).encode() + b" " * 200_000_000, compresslevel=1)[:200_000]
    headers = JSON | {"content-encoding": coding}
    await refused(client, path, bomb, headers)
    await refused(client, path, gzip.compress(json.dumps(BODIES[path]).encode()), headers)


@pytest.mark.parametrize("value", [4.0, 1e1])
async def test_a_whole_number_may_be_written_with_a_point(client: httpx.AsyncClient, value: float) -> None:
    for path, field in (
        ("/generate", "max_new_tokens"),
        ("/retrieve", "top_k"),
        ("/v1/chat/completions", "max_tokens"),
    ):
        reply = await client.post(path, json=BODIES[path] | {field: value})
        assert reply.status_code == 200, reply.text
    assert "it should be a valid integer" in (await refused(client, "/retrieve", b'{"query": "a", "top_k": 4.5}')).text
