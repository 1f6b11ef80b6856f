"""The map of an index over HTTP, and where the lookups of an answer lie on it."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from semiparametric.embedding import as_query
from semiparametric.pair import load_gen, read_spec
from semiparametric.store import Extension, Store
from service import examples, maps
from service.index_version import IndexVersion, open_version, read_published
from service.map_schemas import MapResponse
from service.maps import IndexMap, Maps, draw_map
from service.plane import fit_plane
from tests.semiparametric.stores import build, passages, random_vectors
from tests.service.running import running_app
from tests.small_index import PASSAGES, build_small_index

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = "What does the keeper write down?"


async def generated(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    reply = await client.post("/generate", json={"question": QUESTION, "max_new_tokens": 8, "lookups": True} | fields)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


def xy(point: dict[str, float]) -> list[float]:
    return [point["x"], point["y"]]


def state_after_prompt(pair: Path) -> NDArray[np.float32]:
    """The oracle: Gen's state at `prompt · [Ret]`, computed at once."""
    gen = load_gen(pair)
    ids = [*gen.codec.prompt(QUESTION), gen.spec.control.ret]
    with torch.no_grad():
        output = gen.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return as_query(output.hidden_states[-1][0, -1], gen.spec)


async def test_a_map_shows_each_passage_where_its_vector_lies_in_the_plane(
    client: httpx.AsyncClient, index: Path
) -> None:
    reply = await client.get("/indexes/small/map")
    assert reply.headers["content-type"] == "application/json"
    shown = MapResponse.model_validate_json(reply.content)
    MapResponse.model_validate(examples.MAP)
    with Store.open(index) as store:
        vectors = store.vectors(store.live_rows())
    plane = fit_plane(vectors)
    assert [(one.id, one.title) for one in shown.passages] == [(one.id, one.title) for one in PASSAGES]
    points = [[one.point.x, one.point.y] for one in shown.passages]
    assert np.allclose(points, plane.points(vectors), rtol=1e-3, atol=1e-6)
    assert (shown.index.name, shown.index.version, shown.count) == ("small", 1, len(PASSAGES))
    assert shown.share == pytest.approx(plane.share(vectors))


async def test_an_answer_reports_its_lookups_where_the_request_asks(
    client: httpx.AsyncClient, tiny_pair: Path, index: Path
) -> None:
    answer = await generated(client, retrieval="first", top_k=3)
    [lookup] = answer["lookups"]
    assert (lookup["at"], lookup["used"]) == (0, True)
    found = (await client.post("/retrieve", json={"query": QUESTION, "top_k": 3})).json()["passages"]
    assert [hit["id"] for hit in lookup["passages"]] == [passage["id"] for passage in found]
    assert [hit["score"] for hit in lookup["passages"]] == pytest.approx([passage["score"] for passage in found])
    with Store.open(index) as store:
        plane = fit_plane(store.vectors(store.live_rows()))
    assert xy(lookup["query"]) == pytest.approx(plane.points(state_after_prompt(tiny_pair)[None])[0], abs=1e-3)
    on_map = {one["id"]: one["point"] for one in (await client.get("/indexes/small/map")).json()["passages"]}
    assert [hit["point"] for hit in lookup["passages"]] == [on_map[hit["id"]] for hit in lookup["passages"]]


async def test_a_stream_reports_them_in_its_last_event(client: httpx.AsyncClient) -> None:
    whole = await generated(client, retrieval="first")
    body = {"question": QUESTION, "max_new_tokens": 8, "lookups": True, "retrieval": "first", "stream": True}
    reply = await client.post("/generate", json=body)
    last = reply.text.strip().split("\n\n")[-1].splitlines()
    assert last[0] == "event: done"
    assert json.loads(last[1].removeprefix("data: "))["lookups"] == whole["lookups"]


async def test_each_answer_of_a_batch_reports_its_own(client: httpx.AsyncClient) -> None:
    body = {"questions": [QUESTION, "When does the tide turn?"], "max_new_tokens": 4, "retrieval": "first"}
    reply = await client.post("/generate", json=body | {"lookups": True})
    assert [len(answer["lookups"]) for answer in reply.json()["answers"]] == [1, 1]
    reply = await client.post("/generate", json=body)
    assert all("lookups" not in answer for answer in reply.json()["answers"])


async def test_an_answer_without_lookups_reports_none_and_one_that_was_not_asked_says_nothing(
    client: httpx.AsyncClient,
) -> None:
    assert (await generated(client, retrieval="never"))["lookups"] == []
    assert "lookups" not in await generated(client, retrieval="first", lookups=False)


async def test_a_lookup_that_found_nothing_good_enough_is_reported_as_not_used(client: httpx.AsyncClient) -> None:
    answer = await generated(client, retrieval="first", min_score=1.5)
    [lookup] = answer["lookups"]
    assert not lookup["used"]
    assert [hit["score"] < 1.5 for hit in lookup["passages"]] == [True]
    assert answer["passages"] == []


async def test_a_map_is_made_once_for_a_version_and_goes_with_it(tmp_path: Path, tiny_pair: Path) -> None:
    build_small_index(tiny_pair, tmp_path / "small")
    spec, made = read_spec(tiny_pair), Maps()

    def opened() -> IndexVersion:
        published = read_published(tmp_path / "small")
        return IndexVersion("small", published, open_version(tmp_path / "small", published, spec))

    first = opened()
    assert await made.of(first) is await made.of(first)
    with Extension(tmp_path / "small") as extension:
        extension.publish(
            added=[], vectors=np.empty((0, 32), np.float32), deleted_ids=["lamp"], build=first.store.manifest.build
        )
    second = opened()
    drawn = await made.of(second)
    assert drawn is not None
    ids = [passage.id for passage in MapResponse.model_validate_json(drawn.document).passages]
    assert ids == ["tide", "wheel", "trap"]
    assert len(made._maps) == 2
    for version in (first, second):
        version.store.close()
    del first, second, version
    for _ in range(200):  # the thread that drew the last one may not have let go of it yet
        if not made._maps:
            break
        await asyncio.sleep(0.05)
    assert len(made._maps) == 0


@pytest.mark.bad_input
async def test_a_map_that_takes_too_long_ends_its_requests_in_time_and_is_there_for_later_ones(
    tiny_pair: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, begun = threading.Event(), []

    def slow(version: IndexVersion) -> IndexMap:
        begun.append(version)
        may_end.wait(10)
        return draw_map(version)

    monkeypatch.setattr(maps, "draw_map", slow)
    fields = {"max_new_tokens": 2, "lookups": True}
    async with running_app(pair=tiny_pair, index=index, timeout_s=1) as client:
        whole = await client.post("/generate", json=fields | {"question": QUESTION})
        stream = await client.post("/generate", json=fields | {"question": QUESTION, "stream": True})
        batch = await client.post("/generate", json=fields | {"questions": [QUESTION]})
        shown = await client.get("/indexes/small/map")
        assert [reply.status_code for reply in (whole, shown)] == [504, 504]
        assert "longer than 1 s" in whole.json()["detail"]
        assert "event: error" in stream.text
        assert "event: done" not in stream.text
        assert [answer["status"] for answer in batch.json()["answers"]] == [504]
        may_end.set()
        reply = await client.get("/indexes/small/map")
        assert reply.status_code == 200
    assert len(begun) == 1


async def test_a_version_stays_open_while_its_map_is_drawn_although_nobody_waits_for_it(
    tiny_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, begun = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(version: IndexVersion) -> IndexMap:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(10)
        return draw_map(version)

    monkeypatch.setattr(maps, "draw_map", slow)
    folder = build_small_index(tiny_pair, tmp_path / "small")
    version = IndexVersion(
        "small", read_published(folder), open_version(folder, read_published(folder), read_spec(tiny_pair))
    )
    made = Maps()
    with version.used():
        asking = asyncio.create_task(made.of(version))
        await begun.wait()
        asking.cancel()
        await asyncio.wait({asking})
    version.retire()
    assert version.is_used
    may_end.set()
    drawn = await made.of(version)
    assert drawn is not None
    await version.closed()
    assert not version.is_used


async def test_a_large_index_is_shown_by_passages_evenly_spaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maps, "MAPPED", 10)
    build(tmp_path, passages(101), random_vectors(101))
    with Store.open(tmp_path) as store:
        version = IndexVersion("tests", read_published(tmp_path), store)
        drawn, again = draw_map(version), draw_map(version)
    shown = MapResponse.model_validate_json(drawn.document)
    assert [passage.id for passage in shown.passages] == [f"p{n}" for n in (0, 11, 22, 33, 44, 56, 67, 78, 89, 100)]
    assert shown.count == 101
    assert drawn.document == again.document


@pytest.mark.bad_input
async def test_the_map_of_an_unknown_index_is_a_404(client: httpx.AsyncClient) -> None:
    reply = await client.get("/indexes/large/map")
    assert reply.status_code == 404
    assert "there is no index 'large'; served here: 'small'" in reply.json()["detail"]


@pytest.mark.bad_input
async def test_an_index_that_kept_no_vectors_has_no_map_and_lookups_without_points(
    tmp_path: Path, tiny_pair: Path
) -> None:
    fingerprint = read_spec(tiny_pair).fingerprint
    vectors = random_vectors(600, 32)
    build(tmp_path / "lossy", passages(600), vectors, "ivf-sq8", fingerprint, keep_vectors=False)
    async with running_app(pair=tiny_pair, index=tmp_path / "lossy") as client:
        reply = await client.get("/indexes/tests/map")
        assert reply.status_code == 404
        assert "did not keep its vectors, so it has no map" in reply.json()["detail"]
        [lookup] = (await generated(client, retrieval="first"))["lookups"]
    assert lookup["query"] is None
    assert [hit["point"] for hit in lookup["passages"]] == [None]
