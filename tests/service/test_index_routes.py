"""Several indexes in one service: what `/indexes` tells, and that each request is answered from the one it names."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from semiparametric.formats import Passage
from semiparametric.store.layout import version_folder
from service.app import create_app
from service.schemas import IndexDetails
from service.settings import ServeSettings
from tests.service.running import client_of, running_app
from tests.small_index import PASSAGES, build_small_index

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = {"question": "What does the keeper write down?", "retrieval": "first", "max_new_tokens": 4}
INN = [Passage(id="room", title="The room", text="The room is above the bar."), Passage(id="bar", text="The bar.")]


@pytest.fixture(scope="module")
def folders(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    where = tmp_path_factory.mktemp("indexes")
    small = build_small_index(tiny_pair, where / "small")
    return small, build_small_index(tiny_pair, where / "inn", passages=INN, name="inn")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tiny_pair: Path, folders: tuple[Path, Path]) -> AsyncIterator[httpx.AsyncClient]:
    async with running_app(pair=tiny_pair, index=[str(folders[0]), f"tavern={folders[1]}"]) as client:
        yield client


async def test_indexes_are_listed_with_versions_and_counts_the_default_one_first(client: httpx.AsyncClient) -> None:
    reply = await client.get("/indexes")
    assert reply.status_code == 200
    listed = reply.json()
    assert listed["default"] == "small"
    assert [one.pop("built") is not None for one in listed["indexes"]] == [True, True]
    common = {"version": 1, "dimension": 32, "index_type": "flat", "store": "faiss", "refused": None}
    assert listed["indexes"] == [
        common | {"name": "small", "passages": len(PASSAGES), "metadata_fields": ["page", "place"]},
        common | {"name": "tavern", "passages": 2, "metadata_fields": []},
    ]


async def test_one_index_is_told_as_in_the_list(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/indexes")).json()["indexes"]
    for one in listed:
        assert (await client.get(f"/indexes/{one['name']}")).json() == one


async def test_a_request_is_answered_from_the_index_it_names_and_without_a_name_from_the_first(
    client: httpx.AsyncClient,
) -> None:
    for named, name, ids in (
        ({}, "small", {"lamp", "tide", "wheel", "trap"}),
        ({"index": "tavern"}, "tavern", {"room", "bar"}),
    ):
        answer = (await client.post("/generate", json=QUESTION | named)).json()
        found = (await client.post("/retrieve", json={"query": "a room", "top_k": 9} | named)).json()
        assert answer["index"] == found["index"] == {"name": name, "version": 1}
        assert {passage["id"] for passage in found["passages"]} == ids
        assert {passage["id"] for passage in answer["passages"]} <= ids


@pytest.mark.bad_input
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "name",
    [
        "inn",
        "SMALL",
        "small%2F..",
        "..%2Fsmall",
        "%2e%2e",
        "small%00",
        "small%0d%0aX-Evil: 1",
        "%E2%80%AEllams",
        "a" * 5000,
    ],
)
async def test_an_index_that_is_not_served_is_not_found_whatever_its_name(
    client: httpx.AsyncClient, method: str, name: str
) -> None:
    path = f"/indexes/{name}" if method == "GET" else f"/indexes/{name}/reload"
    reply = await client.request(method, path)
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"
    assert len(reply.content) < 1000
    assert "x-evil" not in reply.headers


@pytest.mark.bad_input
async def test_the_own_name_of_an_index_that_is_served_under_another_is_not_known(client: httpx.AsyncClient) -> None:
    reply = await client.post("/retrieve", json={"query": "a room", "index": "inn"})
    assert reply.status_code == 404
    assert reply.json()["detail"] == "there is no index 'inn'; served here: 'small', 'tavern'"


async def test_reload_serves_what_was_published_and_again_changes_nothing(tiny_pair: Path, tmp_path: Path) -> None:
    folder = build_small_index(tiny_pair, tmp_path / "inn", name="inn")
    async with running_app(pair=tiny_pair, index=folder, watch_s=0) as client:
        build_small_index(tiny_pair, folder, passages=INN, name="inn")
        assert (await client.get("/indexes/inn")).json()["version"] == 1
        for _ in range(2):
            reply = await client.post("/indexes/inn/reload")
            assert reply.status_code == 200
            told = IndexDetails.model_validate_json(reply.content)
            assert (told.version, told.passages) == (2, 2)
        assert (await client.post("/retrieve", json={"query": "a room"})).json()["index"]["version"] == 2


@pytest.mark.bad_input
async def test_reload_says_that_a_damaged_version_is_refused_and_which_is_served(
    tiny_pair: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = build_small_index(tiny_pair, tmp_path / "inn", name="inn")
    async with running_app(pair=tiny_pair, index=folder, watch_s=0) as client:
        build_small_index(tiny_pair, folder, passages=INN, name="inn")
        (version_folder(folder, 2) / "passages.arrow").write_bytes(b"no passages")
        reply = await client.post("/indexes/inn/reload")
        assert reply.status_code == 409
        assert "version 1 still is" in reply.json()["detail"]
        assert str(tmp_path) not in reply.text
        assert "passages.arrow: damaged" in caplog.text
        told = (await client.get("/indexes/inn")).json()
        assert (told["version"], told["refused"]) == (1, 2)
        assert (await client.post("/generate", json=QUESTION)).json()["index"]["version"] == 1


async def test_a_published_version_is_taken_up_without_being_told(tiny_pair: Path, tmp_path: Path) -> None:
    folder = build_small_index(tiny_pair, tmp_path / "inn", name="inn")
    async with running_app(pair=tiny_pair, index=folder, watch_s=0.02) as client:
        build_small_index(tiny_pair, folder, passages=INN, name="inn")
        while (await client.get("/indexes/inn")).json()["version"] != 2:  # noqa: ASYNC110 - as a client would
            await asyncio.sleep(0.01)


async def test_the_watch_ends_with_the_service(tiny_pair: Path, folders: tuple[Path, Path]) -> None:
    before = asyncio.all_tasks()
    async with running_app(pair=tiny_pair, index=folders[0], watch_s=0.01):
        await asyncio.sleep(0.05)
    assert asyncio.all_tasks() == before


async def test_a_stream_ends_on_the_version_it_began_with(tiny_pair: Path, tmp_path: Path) -> None:
    folder = build_small_index(tiny_pair, tmp_path / "inn", name="inn")
    app = create_app(ServeSettings(pair=tiny_pair, index=folder, watch_s=0))
    async with app.router.lifespan_context(app), client_of(app) as client:
        old = app.state.resources.indexes["inn"].current
        body: dict[str, Any] = QUESTION | {"max_new_tokens": 200, "stream": True}
        stream = asyncio.create_task(client.post("/generate", json=body))
        while not old.is_used:  # noqa: ASYNC110 - nothing tells when a request has begun
            await asyncio.sleep(0)
        build_small_index(tiny_pair, folder, passages=INN, name="inn")
        await client.post("/indexes/inn/reload")
        assert app.state.resources.indexes["inn"].current.store.version == 2
        reply = await stream
        assert reply.text.rstrip().endswith('"index":{"name":"inn","version":1}}')
        assert not old.is_used
        await old.closed()
