"""What the app refuses and how: problem documents that say what was wrong, where, and what would be right."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from service.app import create_app
from service.logs import JsonFormatter
from service.schemas import GenerateRequest
from service.settings import ServeSettings
from tests.service.running import client_of, running_app

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.bad_input]

QUESTION = {"question": "What does the keeper write down?"}
JSON = {"content-type": "application/json"}


def problem(reply: httpx.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = reply.json()
    assert document["status"] == status
    assert document["title"]
    assert document["request_id"] == reply.headers["x-request-id"]
    return document


@pytest.mark.parametrize(
    ("fields", "pointer", "detail"),
    [
        ({"question": ""}, "#/question", "empty or white space only; write the question as text"),
        ({"question": " \n\t\u00a0"}, "#/question", "empty or white space only"),
        ({"question": None}, "#/question", "got null; it should be a valid string"),
        ({"question": "half \ud83d"}, "#/question", "half of a surrogate pair"),
        ({"question": "long " * 600}, "#/question", "tokens with its prompt; the limit is"),
        ({"top_k": 0}, "#/top_k", "got 0; it should be greater than or equal to 1"),
        ({"top_k": 1_000_000}, "#/top_k", "got 1000000; it should be less than or equal to 100"),
        ({"top_k": "5"}, "#/top_k", 'got "5"; it should be a valid integer'),
        ({"top_k": True}, "#/top_k", "got true; it should be a valid integer"),
        ({"topk": 3}, "#/topk", "no such field; did you mean top_k?"),
        ({"x": 3}, "#/x", "no such field; the fields are candidates, filter, index"),
        ({"retrieval": "always"}, "#/retrieval", "'auto', 'first' or 'never'"),
        ({"temperature": -1}, "#/temperature", "got -1; it should be greater than or equal to 0"),
        ({"temperature": float("nan")}, "#/temperature", "got NaN; it should be a finite number"),
        ({"top_p": 0}, "#/top_p", "greater than 0"),
        ({"max_new_tokens": 5000}, "#/max_new_tokens", "5000 is more than this service allows. Ask for 1024 at most"),
        ({"filter": {"place": [1]}}, "#/filter/place", "got [1]; a filter value is text, a number, true or false"),
        ({"filter": {"town": "x"}}, "#/filter", "no metadata field 'town'. Its fields are page, place"),
        ({"candidates": []}, "#/candidates", "at least 1 item"),
        ({"candidates": ["lamp", 7]}, "#/candidates/1", "got 7; it should be a valid string"),
        ({"candidates": ["lamp", "Lampe"]}, "#/candidates", "the index has no passage 'Lampe'"),
    ],
)
async def test_a_wrong_field_is_named_with_its_rule(
    client: httpx.AsyncClient, fields: dict[str, Any], pointer: str, detail: str
) -> None:
    reply = await client.post("/generate", content=json.dumps(QUESTION | fields), headers=JSON)
    document = problem(reply, 422)
    assert document["type"] == "urn:cosup:problem:invalid-request"
    [place] = document["errors"]
    assert place["pointer"] == pointer
    assert detail in place["detail"]
    assert place["detail"] in document["detail"]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)
FIELDS = st.sampled_from([name for name in GenerateRequest.model_fields if name != "max_new_tokens"])


@settings(max_examples=150, deadline=None)
@given(fields=st.dictionaries(FIELDS, VALUES, max_size=4), question=st.text(min_size=1, max_size=40))
async def test_no_values_make_it_fail_they_are_served_or_refused(
    client: httpx.AsyncClient, fields: dict[str, Any], question: str
) -> None:
    body = {"question": question, "max_new_tokens": 2} | fields
    reply = await client.post("/generate", content=json.dumps(body), headers=JSON)
    if reply.status_code != 200:
        document = problem(reply, reply.status_code)
        assert reply.status_code in {404, 422}
        assert all(place["pointer"][2:].split("/")[0] in body for place in document.get("errors", []))


async def test_all_wrong_fields_are_named_together(client: httpx.AsyncClient) -> None:
    document = problem(await client.post("/retrieve", json={"querry": "a", "top_k": 0}), 422)
    assert {place["pointer"] for place in document["errors"]} == {"#/query", "#/querry", "#/top_k"}


async def test_a_stream_is_refused_before_it_begins(client: httpx.AsyncClient) -> None:
    long = {"question": "long " * 600, "stream": True}
    assert "tokens with its prompt" in problem(await client.post("/generate", json=long), 422)["detail"]


async def test_an_unknown_index_is_not_found_and_the_known_one_is_named(client: httpx.AsyncClient) -> None:
    document = problem(await client.post("/generate", json=QUESTION | {"index": "large"}), 404)
    assert document["detail"] == "there is no index 'large'; served here: 'small'"


@pytest.mark.parametrize(
    ("content", "status", "detail"),
    [
        (b"", 422, "it is empty; send a JSON object"),
        (b'{"question": "a"', 422, "it is not JSON: Expecting ',' delimiter at character 16"),
        (b'{"question": "a\0"}', 422, "it is not JSON: Invalid control character"),
        (b'["question"]', 422, "it should be a valid dictionary or object"),
        (b'{"question": "\xff"}', 400, "parsing the body"),
        (b"[" * 100_000, 400, "parsing the body"),
        (b'{"top_k": ' + b"9" * 10_000 + b"}", 400, "parsing the body"),
    ],
)
async def test_a_body_that_is_no_json_object_is_refused(
    client: httpx.AsyncClient, content: bytes, status: int, detail: str
) -> None:
    reply = await client.post("/generate", content=content, headers=JSON)
    assert detail in problem(reply, status)["detail"]


async def test_a_body_of_another_type_is_refused_with_the_right_one(client: httpx.AsyncClient) -> None:
    document = problem(await client.post("/generate", data=QUESTION), 415)
    assert "send a JSON object as application/json" in document["detail"]


async def test_a_body_of_a_megabyte_is_refused(client: httpx.AsyncClient) -> None:
    document = problem(await client.post("/generate", json={"question": "a" * 1_000_000}), 413)
    assert document["detail"] == "the body has more than 262144 bytes; send a shorter request"


async def test_a_body_in_chunks_is_counted_while_it_comes(client: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    problem(await client.post("/generate", content=endless(), headers=JSON), 413)
    assert sent < 32 * 262144


async def test_a_body_exactly_at_the_limit_is_read(tiny_pair: Path, index: Path) -> None:
    async with running_app(pair=tiny_pair, index=index, max_body_bytes=1024) as client:
        body = json.dumps({"query": "tide"}).encode()
        reply = await client.post("/retrieve", content=body.ljust(1024), headers=JSON)
        assert reply.status_code == 200
        problem(await client.post("/retrieve", content=body.ljust(1025), headers=JSON), 413)


async def test_thousands_of_wrong_fields_give_a_short_answer(client: httpx.AsyncClient) -> None:
    reply = await client.post("/generate", json=QUESTION | {f"field_{n}": n for n in range(10_000)})
    assert len(problem(reply, 422)["errors"]) == 20
    assert len(reply.content) < 10_000


async def test_unknown_paths_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/nowhere"), 404)["title"] == "Not Found"
    reply = await client.get("/generate")
    assert problem(reply, 405)["title"] == "Method Not Allowed"
    assert reply.headers["allow"] == "POST"


@pytest.mark.parametrize("stream", [False, True])
async def test_when_all_places_are_taken_the_next_is_told_when_to_come_back(
    tiny_pair: Path, index: Path, stream: bool
) -> None:
    async with running_app(pair=tiny_pair, index=index, max_sessions=1, queue=1, retry_after_s=7) as client:
        body = QUESTION | {"retrieval": "never", "max_new_tokens": 60, "stream": stream}
        replies = await asyncio.gather(*(client.post("/generate", json=body) for _ in range(5)))
        assert sorted(reply.status_code for reply in replies) == [200, 200, 503, 503, 503]
        refused = next(reply for reply in replies if reply.status_code == 503)
        assert problem(refused, 503)["type"] == "urn:cosup:problem:busy"
        assert refused.headers["retry-after"] == "7"
        assert (await client.post("/generate", json=body)).status_code == 200


async def test_a_harmless_request_id_is_kept_and_another_replaced(client: httpx.AsyncClient) -> None:
    kept = await client.get("/health", headers={"X-Request-Id": "trace-1.a_B"})
    assert kept.headers["x-request-id"] == "trace-1.a_B"
    for bad in ("a b", 'x", "level": "error', "é", "a" * 65, ""):
        reply = await client.get("/health", headers={b"X-Request-Id": bad.encode()})
        assert reply.headers["x-request-id"].isalnum()
        assert len(reply.headers["x-request-id"]) == 32


async def test_an_unexpected_error_is_logged_whole_and_shown_without_internals(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(caplog.handler, "formatter", JsonFormatter())
    app = create_app(ServeSettings(pair=tmp_path, index=tmp_path))

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the secret of the cellar")

    async with client_of(app) as client:
        document = problem(await client.get("/broken", headers={"X-Request-Id": "r1"}), 500)
    assert document["type"] == "urn:cosup:problem:internal"
    assert "secret" not in json.dumps(document)
    [line] = [line for line in map(json.loads, caplog.text.splitlines()) if line["level"] == "error"]
    assert "the secret of the cellar" in line["traceback"]
    assert line["request_id"] == "r1"


async def test_a_failed_engine_is_a_problem_in_both_forms(tiny_pair: Path, index: Path) -> None:
    app = create_app(ServeSettings(pair=tiny_pair, index=index))
    begun = asyncio.Event()

    async def noticed(scope: Scope, receive: Receive, send: Send) -> None:
        async def noticing(message: Message) -> None:
            if message["type"] == "http.response.body":
                begun.set()
            await send(message)

        await app(scope, receive, noticing)

    async with app.router.lifespan_context(app), client_of(noticed) as client:
        body = QUESTION | {"retrieval": "never", "max_new_tokens": 400, "stream": True}
        under_way = asyncio.create_task(client.post("/generate", json=body))
        await begun.wait()
        await app.state.resources.engine.stop()
        events = (await under_way).text
        last = json.loads(events.strip().rsplit("data: ", 1)[1])
        assert "event: error" in events
        assert "event: done" not in events
        assert last["type"] == "urn:cosup:problem:internal"
        assert "engine" not in problem(await client.post("/generate", json=QUESTION), 500)["detail"]


async def test_each_request_leaves_one_access_line_with_its_timings(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caplog.handler, "formatter", JsonFormatter())
    caplog.set_level(logging.INFO, "service.access")
    await client.post("/generate", json=QUESTION | {"max_new_tokens": 3}, headers={"X-Request-Id": "r2"})
    [line] = [line for line in map(json.loads, caplog.text.splitlines()) if line["logger"] == "service.access"]
    timings = line.pop("timings_s")
    assert line.pop("duration_s") >= timings["total"] > 0
    assert set(timings) == {"queue", "prefill", "decode", "lookup", "total"}
    assert line.pop("time")
    expected = {"request_id": "r2", "method": "POST", "path": "/generate", "route": "/generate", "status": 200}
    constant = {"level": "info", "logger": "service.access", "message": "request", "client": "127.0.0.1"}
    assert line == expected | constant | {"finished": True, "key": None}
