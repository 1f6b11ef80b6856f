"""`GET /metrics` of the app in this process, with a real pair, store and engine: what it counts and times."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.observe.metrics import doubling
from service.settings import ServeSettings
from tests.service.running import client_of, running_app
from tests.small_index import PASSAGES

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = {"question": "What does the keeper write down?", "max_new_tokens": 12}


@pytest_asyncio.fixture(loop_scope="module")
async def client(tiny_pair: Path, index: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running_app(pair=tiny_pair, index=index, max_sessions=2, queue=1) as client:
        yield client


@dataclass
class Scrape:
    """The samples of one scrape."""

    samples: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """The value of the sample with exactly these labels; 0 where there is none yet."""
        return self.samples.get((f"cosup:{name}", frozenset(labels.items())), 0.0)

    def names(self) -> set[str]:
        return {name for name, _ in self.samples}


async def scraped(client: httpx.AsyncClient) -> Scrape:
    reply = await client.get("/metrics")
    assert reply.status_code == 200
    families = text_string_to_metric_families(reply.text)
    samples = [sample for family in families for sample in family.samples]
    return Scrape({(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples})


async def generated(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    reply = await client.post("/generate", json=QUESTION | fields)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


async def test_a_service_that_nobody_asked_has_counted_nothing_not_even_its_warm_up(client: httpx.AsyncClient) -> None:
    scrape = await scraped(client)
    assert scrape.value("answers_total", index="small", finish_reason="length") == 0
    assert scrape.value("index_version", index="small") == 1
    assert scrape.value("index_passages", index="small") == len(PASSAGES)
    assert scrape.value("max_sessions") == 2
    assert scrape.value("num_sessions_running") == scrape.value("num_requests_waiting") == 0
    assert any(name == "cosup:build_info" for name in scrape.names())
    assert "process_resident_memory_bytes" in scrape.names()


async def test_an_answer_is_counted_with_its_tokens_and_its_lookup(client: httpx.AsyncClient) -> None:
    usage = (await generated(client, retrieval="first"))["usage"]
    scrape = await scraped(client)
    assert scrape.value("answers_total", index="small", finish_reason="length") == 1
    assert scrape.value("lookups_total", index="small", outcome="found") == usage["retrievals"] == 1
    for kind in ("prompt", "passage", "completion", "forwarded"):
        assert scrape.value(f"{kind}_tokens_total", index="small") == usage[f"{kind}_tokens"] > 0


async def test_times_are_those_that_the_answer_tells(client: httpx.AsyncClient) -> None:
    timings = (await generated(client, retrieval="first"))["timings"]
    scrape = await scraped(client)

    def one(name: str) -> float:
        assert scrape.value(f"{name}_seconds_count", index="small") == 1, name
        return scrape.value(f"{name}_seconds_sum", index="small")

    assert one("lookup_time") == pytest.approx(timings["lookup"])
    assert one("request_queue_time") == pytest.approx(timings["queue"])
    assert one("query_state_time") >= timings["prefill"]
    assert one("e2e_request_latency") >= timings["total"]
    assert one("query_state_time") + one("lookup_time") < one("lookup_pause") < one("time_to_first_token")
    assert one("time_to_first_token") < one("e2e_request_latency")
    assert scrape.value("inter_token_latency_seconds_count", index="small") == 11  # between 12 tokens of one segment


async def test_a_lookup_without_a_good_passage_is_withdrawn(client: httpx.AsyncClient) -> None:
    await generated(client, retrieval="first", min_score=2)
    scrape = await scraped(client)
    assert scrape.value("lookups_total", index="small", outcome="withdrawn") == 1
    assert scrape.value("lookups_total", index="small", outcome="found") == 0
    assert scrape.value("answers_total", index="small", finish_reason="no_evidence") == 1


async def test_retrieve_is_a_lookup_and_no_answer(client: httpx.AsyncClient) -> None:
    assert (await client.post("/retrieve", json={"query": "the tide"})).status_code == 200
    scrape = await scraped(client)
    assert scrape.value("lookups_total", index="small", outcome="found") == 1
    assert scrape.value("lookup_time_seconds_count", index="small") == 1
    assert scrape.value("query_state_time_seconds_count", index="small") == 1
    assert not any(name == "cosup:answers_total" for name in scrape.names())


async def test_requests_are_counted_by_route_and_status(client: httpx.AsyncClient) -> None:
    await generated(client)
    await client.post("/generate", json={})
    await client.get("/generate")
    scrape = await scraped(client)
    assert scrape.value("http_requests_total", method="POST", route="/generate", status="200") == 1
    assert scrape.value("http_requests_total", method="POST", route="/generate", status="422") == 1
    assert scrape.value("http_requests_total", method="GET", route="/generate", status="405") == 1
    assert scrape.value("http_request_duration_seconds_count", route="/generate") == 3


async def test_no_client_can_make_labels(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await client.get(f"/no/such/path/{number}")
        await client.request(f"METHOD{number}", "/generate")
        await client.post("/generate", json=QUESTION | {"index": f"index {number}"})
    text = (await client.get("/metrics")).text
    assert "such" not in text
    assert "METHOD" not in text
    assert "index 3" not in text
    scrape = await scraped(client)
    assert scrape.value("http_requests_total", method="GET", route="other", status="404") == 5
    assert scrape.value("http_requests_total", method="other", route="/generate", status="405") == 5


async def test_what_runs_and_what_waits_is_shown_and_a_client_that_leaves_is_an_aborted_answer(
    client: httpx.AsyncClient,
) -> None:
    body = QUESTION | {"retrieval": "never", "max_new_tokens": 400}
    asking = [asyncio.create_task(client.post("/generate", json=body)) for _ in range(3)]
    while (scrape := await scraped(client)).value("num_requests_waiting") < 1:
        pass  # each scrape lets the others go on
    assert scrape.value("num_sessions_running") == 2
    assert (await client.post("/generate", json=QUESTION)).status_code == 503
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    scrape = await scraped(client)
    assert scrape.value("num_sessions_running") == scrape.value("num_requests_waiting") == 0
    assert scrape.value("answers_total", index="small", finish_reason="aborted") == 2
    assert scrape.value("http_requests_total", method="POST", route="/generate", status="503") == 1
    assert scrape.value("http_requests_total", method="POST", route="/generate", status="499") == 3
    assert scrape.value("prompt_tokens_total", index="small") > 0


async def test_an_answer_whose_engine_fails_is_a_failed_one(tiny_pair: Path, index: Path) -> None:
    app = create_app(ServeSettings(pair=tiny_pair, index=index))
    async with app.router.lifespan_context(app), client_of(app) as client:
        body = QUESTION | {"retrieval": "never", "max_new_tokens": 400}
        under_way = asyncio.create_task(client.post("/generate", json=body))
        while (await scraped(client)).value("num_sessions_running") < 1:
            pass
        await app.state.resources.engine.stop()
        assert (await under_way).status_code == 500
        assert (await scraped(client)).value("answers_total", index="small", finish_reason="failed") == 1


async def test_two_services_in_one_process_count_apart(tiny_pair: Path, index: Path, client: httpx.AsyncClient) -> None:
    async with running_app(pair=tiny_pair, index=index) as other:
        await generated(other)
        assert (await scraped(other)).value("answers_total", index="small", finish_reason="length") == 1
    assert (await scraped(client)).value("answers_total", index="small", finish_reason="length") == 0


async def test_a_service_that_is_still_loading_shows_what_it_has(tiny_pair: Path, index: Path) -> None:
    async with client_of(create_app(ServeSettings(pair=tiny_pair, index=index))) as client:
        names = (await scraped(client)).names()
    assert "cosup:build_info" in names
    assert "cosup:index_version" not in names


async def test_names_keep_their_colons_whatever_format_a_scraper_asks_for(client: httpx.AsyncClient) -> None:
    prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
    reply = await client.get("/metrics", headers={"Accept": prometheus})
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert '\ncosup:index_version{index="small"} 1.0\n' in reply.text
    assert "cosup_" not in reply.text


async def test_buckets_double_from_the_first_bound_past_the_last() -> None:
    assert doubling(0.5, 3) == (0.5, 1, 2, 4)
