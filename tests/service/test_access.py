"""What a key may do and, above all, what it may not: attacks on the door and on the walls between indexes."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import openapi_spec_validator
import pytest
import pytest_asyncio
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.routing import BaseRoute, Mount, Route

from semiparametric.formats import Passage
from service.app import create_app
from service.keys.guard import is_open
from service.keys.key import hash_of
from service.keys.key_file import create_key, revoke_key
from service.logs import JsonFormatter
from service.settings import ServeSettings
from tests.service.running import client_of
from tests.small_index import PASSAGES, build_small_index

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.bad_input]

QUESTION = {"question": "What does the keeper write down?", "retrieval": "first", "max_new_tokens": 4}
HIDDEN = [
    Passage(id="vault-1", title="vault", text="The vault's combination.", metadata={"clearance": "high"}),
    Passage(id="vault-2", title="vault", text="Who knows the vault's combination.", metadata={"clearance": "top"}),
]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "keys.json"


@pytest.fixture(scope="module")
def secrets(keys: Path) -> dict[str, str]:
    made = {
        "reader": create_key(keys, "reader", ["small"]),
        "keeper": create_key(keys, "keeper", ["*"], admin=True),
        "warden": create_key(keys, "warden", ["small"], admin=True),
        "nobody": create_key(keys, "nobody", ["elsewhere"]),
        "single": create_key(keys, "single", ["small"], concurrent_requests=1),
        "seldom": create_key(keys, "seldom", ["small"], requests_per_minute=2),
        "fired": create_key(keys, "fired", ["*"], admin=True),
    }
    revoke_key(keys, "fired")
    return {name: secret.get_secret_value() for name, secret in made.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(
    tiny_pair: Path, keys: Path, secrets: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FastAPI]:
    where = tmp_path_factory.mktemp("indexes")
    hidden = build_small_index(tiny_pair, where / "hidden", passages=HIDDEN, name="hidden")
    small = build_small_index(tiny_pair, where / "small")
    app = create_app(ServeSettings(pair=tiny_pair, index=[hidden, small], keys=keys))
    async with app.router.lifespan_context(app):
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client


@pytest.fixture
def bearer(secrets: dict[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"Authorization": f"Bearer {secret}"} for name, secret in secrets.items()}


def without_id(reply: httpx.Response) -> tuple[int, dict[str, Any]]:
    document = reply.json()
    document.pop("request_id")
    return reply.status_code, document


def routes_of(routes: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/"
        elif isinstance(route, Route):
            yield from ((method, route.path) for method in route.methods or ())


# The door.


async def test_every_route_that_is_not_plainly_open_needs_a_key(app: FastAPI, client: httpx.AsyncClient) -> None:
    guarded = [(method, path) for method, path in routes_of(app.routes) if not is_open(path)]
    assert {("POST", "/generate"), ("POST", "/retrieve"), ("GET", "/indexes")} <= set(guarded)
    for method, path in guarded:
        reply = await client.request(method, path.replace("{name}", "small"), json={})
        assert reply.status_code == 401, (method, path)
        assert reply.headers["www-authenticate"] == "Bearer"


async def test_health_readiness_and_the_description_are_open_and_tell_of_no_index(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/ready", "/openapi.json", "/docs"):
        reply = await client.get(path)
        assert reply.status_code == 200
        assert "vault" not in reply.text
        assert '"hidden"' not in reply.text


async def test_no_guess_at_a_key_is_let_in_and_all_get_the_same_answer(
    client: httpx.AsyncClient, secrets: dict[str, str]
) -> None:
    secret = secrets["keeper"]
    guesses = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer null",
        "Bearer *",
        "Bearer keeper",
        f"Bearer {hash_of(secret)}",
        f"Bearer {secret[:-1]}",
        f"Bearer {secret}A",
        f"Bearer {secret.swapcase()}",
        f"Bearer {secret} {secret}",
        f"Bearer Bearer {secret}",
        f"Bearer {secrets['fired']}",
        f"Basic {secret}",
        f"Token {secret}",
        secret,
        "Bearer \x00\xff",
        "Bearer " + "A" * 30_000,
    ]
    answers = [await client.get("/indexes", headers={b"Authorization": guess.encode("latin-1")}) for guess in guesses]
    answers.append(await client.get("/indexes"))
    answers.append(await client.get("/indexes", params={"key": secret, "api_key": secret, "access_token": secret}))
    answers.append(await client.get("/indexes", headers={"X-API-Key": secret, "Cookie": f"key={secret}"}))
    answers.append(
        await client.get("/indexes", headers=[("Authorization", "Bearer x"), ("Authorization", f"Bearer {secret}")])
    )
    first = without_id(answers[0])
    assert first[0] == 401
    assert first[1]["type"] == "urn:cosup:problem:no-key"
    assert all(without_id(answer) == first for answer in answers)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_key_is_let_in_whatever_the_case_of_its_scheme(
    client: httpx.AsyncClient, secrets: dict[str, str], scheme: str
) -> None:
    reply = await client.get("/indexes", headers={"Authorization": f"{scheme} {secrets['reader']}"})
    assert reply.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "//health",
        "/health/",
        "/health/../indexes",
        "/page/../indexes",
        "/%2e/indexes",
        "/HEALTH",
        "/health%2f..%2findexes",
        "/health;/indexes",
        "/health%0a",
        "/docs%0a",
        "/page",
    ],
)
async def test_no_spelling_of_an_open_path_leads_to_a_guarded_one(client: httpx.AsyncClient, path: str) -> None:
    reply = await client.send(client.build_request("GET", httpx.URL(f"http://localhost{path}")))
    assert reply.status_code in {401, 404}
    assert "hidden" not in reply.text


async def test_a_key_that_is_revoked_while_serving_is_refused(
    app: FastAPI, client: httpx.AsyncClient, keys: Path, secrets: dict[str, str]
) -> None:
    assert secrets
    secret = create_key(keys, "brief", ["small"]).get_secret_value()
    headers = {"Authorization": f"Bearer {secret}"}
    while (await client.get("/indexes", headers=headers)).status_code == 401:  # noqa: ASYNC110 - read again each second
        await asyncio.sleep(0.1)
    revoke_key(keys, "brief")
    while (await client.get("/indexes", headers=headers)).status_code == 200:  # noqa: ASYNC110
        await asyncio.sleep(0.1)


# The walls.


async def test_a_key_sees_its_own_indexes_alone_and_the_first_of_them_is_its_default(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]]
) -> None:
    seen = {}
    for name in ("reader", "keeper", "nobody"):
        listed = (await client.get("/indexes", headers=bearer[name])).json()
        seen[name] = (listed["default"], [one["name"] for one in listed["indexes"]])
    assert seen == {"reader": ("small", ["small"]), "keeper": ("hidden", ["hidden", "small"]), "nobody": (None, [])}
    answer = await client.post("/generate", json=QUESTION, headers=bearer["reader"])
    assert answer.json()["index"]["name"] == "small"
    found = await client.post("/retrieve", json={"query": "the vault"}, headers=bearer["reader"])
    assert found.json()["index"]["name"] == "small"


async def test_a_key_without_any_index_is_told_that_there_is_none(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]]
) -> None:
    for path, body in (("/generate", QUESTION), ("/retrieve", {"query": "the vault"})):
        status, document = without_id(await client.post(path, json=body, headers=bearer["nobody"]))
        assert (status, document["detail"]) == (404, "there is no index; served here: none")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_index_out_of_scope_answers_exactly_as_one_that_does_not_exist(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]], stream: bool
) -> None:
    def of(reply: httpx.Response, name: str) -> tuple[int, str, list[str]]:
        status, document = without_id(reply)
        headers = sorted(header for header in reply.headers if header != "content-length")
        return status, json.dumps(document).replace(name, "NAME"), headers

    async def all_of(name: str) -> list[tuple[int, str, list[str]]]:
        asked = [
            ("POST", "/generate", QUESTION | {"index": name, "stream": stream}),
            ("POST", "/generate", QUESTION | {"index": name, "candidates": ["vault-1"], "stream": stream}),
            ("POST", "/generate", QUESTION | {"index": name, "filter": {"clearance": "high"}}),
            ("POST", "/generate", QUESTION | {"index": name, "retrieval": "never"}),
            ("POST", "/retrieve", {"query": "the vault", "index": name}),
            ("POST", "/retrieve", {"query": "the vault", "index": name, "candidates": ["vault-1"]}),
            ("GET", f"/indexes/{name}", None),
            ("POST", f"/indexes/{name}/reload", None),
            ("DELETE", f"/indexes/{name}", None),
        ]
        replies = [
            await client.request(method, path, json=body, headers=bearer["reader"]) for method, path, body in asked
        ]
        return [of(reply, name) for reply in replies]

    beyond, nowhere = await all_of("hidden"), await all_of("nowhere")
    assert beyond == nowhere
    assert [status for status, _, _ in beyond] == [404] * 7 + [403, 405]


async def test_candidates_and_filters_of_another_index_are_as_unknown_as_invented_ones(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]]
) -> None:
    for path, body in (("/generate", QUESTION), ("/retrieve", {"query": "the vault"})):
        for real, invented in (
            ({"candidates": ["vault-1"]}, {"candidates": ["nobody1"]}),
            ({"candidates": ["lamp", "vault-1"]}, {"candidates": ["lamp", "nobody1"]}),
            ({"filter": {"clearance": "high"}}, {"filter": {"nonsense1": "high"}}),
        ):
            replies = [await client.post(path, json=body | one, headers=bearer["reader"]) for one in (real, invented)]
            texts = [json.dumps(without_id(reply)[1]) for reply in replies]
            assert [reply.status_code for reply in replies] == [422, 422]
            assert texts[0].replace("vault-1", "nobody1").replace("clearance", "nonsense1") == texts[1]


TEXTS = st.sampled_from(
    ["hidden", "small", "vault-1", "lamp", "clearance", "place", "high", "mill", "*", "../hidden", "[Ret] hidden", ""]
) | st.text(max_size=8)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "index": TEXTS | st.none(),
    "candidates": st.lists(TEXTS, max_size=3),
    "filter": st.dictionaries(TEXTS, TEXTS | st.booleans() | st.integers(), max_size=2),
    "question": TEXTS,
    "query": TEXTS,
    "top_k": st.integers(1, 100),
    "stream": st.booleans(),
}


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(fields=st.fixed_dictionaries({}, optional=FIELDS), path=st.sampled_from(["/generate", "/retrieve"]))
async def test_no_request_of_a_scoped_key_brings_out_a_passage_of_another_index(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]], fields: dict[str, Any], path: str
) -> None:
    body = (QUESTION if path == "/generate" else {"query": "the vault"}) | fields
    reply = await client.post(path, json=body, headers=bearer["reader"])
    assert reply.status_code in {200, 404, 422}
    assert "combination" not in reply.text
    assert '"name":"hidden"' not in reply.text


async def test_only_an_admin_key_reloads_and_only_what_it_may_read(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]]
) -> None:
    expected = {"reader": (403, 403), "warden": (200, 404), "keeper": (200, 200)}
    for name, statuses in expected.items():
        replies = [await client.post(f"/indexes/{index}/reload", headers=bearer[name]) for index in ("small", "hidden")]
        assert tuple(reply.status_code for reply in replies) == statuses


async def test_what_concerns_the_service_as_a_whole_needs_an_admin_key(
    app: FastAPI, client: httpx.AsyncClient, bearer: dict[str, dict[str, str]]
) -> None:
    concerned = {"/metrics", "/indexes/{name}/reload"}
    routes = [(method, path) for method, path in routes_of(app.routes) if path in concerned]
    assert routes
    for method, path in routes:
        for spelt in (path, f"{path}%0a"):  # a route's pattern takes a line end for its own end
            reply = await client.request(method, spelt.replace("{name}", "small"), headers=bearer["reader"])
            assert reply.status_code in ({403} if spelt == path else {403, 404})


# Limits.


async def test_a_key_with_too_many_requests_in_flight_is_told_to_come_back(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]]
) -> None:
    body = QUESTION | {"retrieval": "never", "max_new_tokens": 60, "stream": True}
    replies = await asyncio.gather(*(client.post("/generate", json=body, headers=bearer["single"]) for _ in range(3)))
    assert sorted(reply.status_code for reply in replies) == [200, 429, 429]
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "2"
    assert "1 requests in flight" in refused.json()["detail"]
    assert (await client.post("/generate", json=body, headers=bearer["single"])).status_code == 200


async def test_a_key_with_too_many_requests_in_a_minute_is_told_to_come_back(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]]
) -> None:
    replies = [await client.get("/indexes", headers=bearer["seldom"]) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 429, 429]
    assert 1 <= int(replies[2].headers["retry-after"]) <= 60
    assert (await client.get("/indexes", headers=bearer["reader"])).status_code == 200


# The log.


async def test_the_log_names_the_key_and_never_shows_it(
    client: httpx.AsyncClient,
    secrets: dict[str, str],
    bearer: dict[str, dict[str, str]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    await client.post("/generate", json=QUESTION, headers=bearer["reader"])
    await client.get("/indexes", headers={"Authorization": f"Bearer {secrets['reader']}x"})
    await client.post("/generate", content=b"{", headers=bearer["reader"] | {"content-type": "application/json"})
    lines = [record.__dict__["fields"] for record in caplog.records if record.name == "service.access"]
    assert [line["key"] for line in lines] == ["reader", None, "reader"]
    written = "\n".join(JsonFormatter().format(record) for record in caplog.records)
    for secret in secrets.values():
        assert secret not in written
        assert hash_of(secret) not in written


@pytest.mark.parametrize(
    "evil", ['x", "status": 200, "key": "keeper', 'a\r\n{"message": "forged"}', "\u2028\u202e\x1b[2J"]
)
async def test_nothing_in_a_request_adds_a_line_or_a_field_to_the_log(
    client: httpx.AsyncClient, bearer: dict[str, dict[str, str]], evil: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    headers = {name.encode(): value.encode() for name, value in bearer["reader"].items()}
    reply = await client.get(f"/indexes/{quote(evil)}", headers=headers | {b"X-Request-Id": evil.encode()})
    assert reply.status_code == 404
    assert "\n" not in reply.headers["x-request-id"]
    [record] = [record for record in caplog.records if record.name == "service.access"]
    line = JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    entry = json.loads(line)
    assert (entry["status"], entry["key"]) == (404, "reader")
    assert entry["path"] == f"/indexes/{evil}"


# What is open and what is described.


async def test_without_a_file_of_keys_everybody_may_do_everything(tiny_pair: Path, tmp_path: Path) -> None:
    app = create_app(ServeSettings(pair=tiny_pair, index=build_small_index(tiny_pair, tmp_path / "small")))
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/indexes")).json()["default"] == "small"
        assert (await client.post("/indexes/small/reload")).status_code == 200
        found = await client.post("/retrieve", json={"query": "tide"}, headers={"Authorization": "Bearer whatever"})
        assert len(found.json()["passages"]) == len(PASSAGES)
        assert "securitySchemes" not in (await client.get("/openapi.json")).json()["components"]


async def test_the_description_says_what_needs_a_key(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    openapi_spec_validator.validate(document)
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation.get("security") == (None if is_open(path) else [{"key": []}])
            assert ({"401", "429"} <= set(operation["responses"])) == (not is_open(path))
