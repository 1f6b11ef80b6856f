"""Embeddings over HTTP, asked with OpenAI's own client: the vectors that an index of the pair holds."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import pytest_asyncio

from semiparametric.embedding import embed_passages
from semiparametric.pair import load_embseq
from service.app import create_app
from service.settings import ServeSettings
from tests.service.running import client_of, running_app
from tests.small_index import PASSAGES

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = [passage.text for passage in PASSAGES]
TITLES = [passage.title for passage in PASSAGES]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(tiny_pair: Path, index: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running_app(pair=tiny_pair, index=index, embeddings=True) as client:
        yield client


@pytest.fixture(scope="module")
def client(http: httpx.AsyncClient) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0)


@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}])
async def test_with_their_titles_passages_get_the_vectors_of_the_index(
    client: openai.AsyncOpenAI, tiny_pair: Path, form: Any
) -> None:
    reply = await client.embeddings.create(model="tiny", input=TEXTS, extra_body={"titles": TITLES}, **form)
    found = [np.array(read(one.embedding), np.float32) for one in reply.data]
    expected = embed_passages(load_embseq(tiny_pair), PASSAGES)
    assert [one.index for one in reply.data] == list(range(len(PASSAGES)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert reply.usage.prompt_tokens == reply.usage.total_tokens > 0


def read(embedding: Any) -> list[float]:
    """OpenAI's client asks for base64 and decodes it by itself, but not where the caller asked for it."""
    return list(np.frombuffer(base64.b64decode(embedding), "<f4") if isinstance(embedding, str) else embedding)


async def test_the_vector_of_a_text_does_not_depend_on_what_it_is_sent_with(client: openai.AsyncOpenAI) -> None:
    together = await client.embeddings.create(model="tiny", input=["The tide."] * 70 + TEXTS)
    alone = await client.embeddings.create(model="tiny", input=TEXTS[0])
    np.testing.assert_allclose(together.data[70].embedding, alone.data[0].embedding, rtol=1e-4, atol=1e-5)


async def test_what_is_longer_than_the_pair_reads_is_cut(client: openai.AsyncOpenAI) -> None:
    long, longer = [(await client.embeddings.create(model="tiny", input="tide " * size)) for size in (500, 600)]
    assert long.usage.prompt_tokens == longer.usage.prompt_tokens == 64
    assert long.data[0].embedding == longer.data[0].embedding


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": []}, "input", "at least 1 item"),
        ({"input": [1, 2, 3]}, "input", "it holds ids of tokens; send text"),
        ({"input": [[1, 2], [3]]}, "input", "check_embedding_ctx_length=False"),
        ({"input": ["half \ud83d"]}, "input[0]", "half of a surrogate pair"),
        ({"titles": []}, None, "titles: there are 0 for 1 texts"),
        ({"dimensions": 7}, "dimensions", "not trained to serve with its 7 leading dimensions alone. Choose one of 32"),
        ({"encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
        ({"title": "x"}, "title", "no such field; did you mean titles?"),
    ],
)
@pytest.mark.bad_input
async def test_wrong_inputs_are_refused_and_named(
    http: httpx.AsyncClient, fields: dict[str, Any], param: str | None, message: str
) -> None:
    body = json.dumps({"model": "tiny", "input": "The tide."} | fields)
    reply = await http.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 400, reply.text
    error = reply.json()["error"]
    assert error["param"] == param
    assert message in error["message"]


async def test_another_model_is_refused(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'text-embedding-3-small'"):
        await client.embeddings.create(model="text-embedding-3-small", input="The tide.")


async def test_embeddings_are_refused_where_they_are_not_switched_on(tiny_pair: Path, index: Path) -> None:
    app = create_app(ServeSettings(pair=tiny_pair, index=index))
    async with app.router.lifespan_context(app), client_of(app) as http:
        assert app.state.passage_encoder is None
        reply = await http.post("/v1/embeddings", json={"model": "tiny", "input": "The tide."})
        assert reply.status_code == 404
        assert "start the service with --embeddings" in reply.json()["error"]["message"]


async def test_more_requests_than_may_wait_are_told_to_come_back(tiny_pair: Path, index: Path) -> None:
    async with running_app(pair=tiny_pair, index=index, embeddings=True, queue=1) as http:
        body = {"model": "tiny", "input": TEXTS * 16}
        replies = await asyncio.gather(*(http.post("/v1/embeddings", json=body) for _ in range(4)))
        assert sorted(reply.status_code for reply in replies) == [200, 200, 503, 503]
        assert (await http.post("/v1/embeddings", json=body)).status_code == 200
