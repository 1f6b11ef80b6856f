"""The app in this process, with a real pair, store and engine: what it answers."""

import asyncio
import json
from collections.abc import Iterator
from inspect import isasyncgenfunction, iscoroutinefunction
from pathlib import Path
from typing import Any

import httpx
import openapi_spec_validator
import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel

from semiparametric.errors import StoreError
from semiparametric.pair import load_gen
from service import examples
from service.app import create_app
from service.schemas import GenerateResponse
from service.settings import ServeSettings
from tests.service.running import client_of, running_app
from tests.small_index import PASSAGES, build_small_index

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = "What does the keeper write down?"


async def generated(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    reply = await client.post("/generate", json={"question": QUESTION, "max_new_tokens": 12} | fields)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


async def streamed(client: httpx.AsyncClient, **fields: Any) -> list[tuple[str, Any]]:
    body = {"question": QUESTION, "max_new_tokens": 12, "stream": True} | fields
    reply = await client.post("/generate", json=body)
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in block.splitlines()) for block in reply.text.strip().split("\n\n")]
    return [(event["event"], json.loads(event["data"])) for event in events]


async def test_no_question_waits_for_a_thread_before_the_engine_has_it(tiny_pair: Path, index: Path) -> None:
    """Each trip to a thread and back waits twice for the interpreter's lock, which the engine mostly holds."""
    app = create_app(ServeSettings(pair=tiny_pair, index=index))
    routes = {route.path: route for route in app.routes if isinstance(route, APIRoute)}
    for path in ("/generate", "/retrieve", "/v1/chat/completions", "/v1/embeddings"):
        steps, calls = [routes[path].dependant], []
        while steps:
            step = steps.pop()
            calls.append(step.call)
            steps += step.dependencies
        assert len(calls) > 2
        in_threads = [call for call in calls if not (iscoroutinefunction(call) or isasyncgenfunction(call))]
        assert in_threads == [], path


async def test_an_answer_cites_the_passage_that_a_forced_lookup_found(client: httpx.AsyncClient) -> None:
    answer = await generated(client, retrieval="first")
    assert list(answer) == ["answer", "citations", "passages", "finish_reason", "usage", "timings", "index"]
    [citation] = answer["citations"]
    [passage] = answer["passages"]
    assert citation["passage_id"] == passage["id"]
    cited = answer["answer"][citation["start"] : citation["end"]]
    assert cited
    assert cited == cited.strip()
    assert 0 < citation["probability"] <= 1
    original = next(one for one in PASSAGES if one.id == passage["id"])
    assert passage == original.model_dump() | {"score": citation["score"]}
    assert answer["usage"]["retrievals"] == 1
    assert answer["index"] == {"name": "small", "version": 1}
    assert answer["timings"]["total"] > 0


async def test_a_stream_carries_the_same_answer_piece_by_piece(client: httpx.AsyncClient) -> None:
    whole = await generated(client, retrieval="first")
    events = await streamed(client, retrieval="first")
    names = [name for name, _ in events]
    assert names[0] == "retrieval"
    assert names[-1] == "done"
    done = events[-1][1]
    assert "".join(data["text"] for name, data in events if name == "token") == whole["answer"]
    assert [data for name, data in events if name == "citation"] == whole["citations"]
    assert done | {"timings": None} == whole | {"timings": None}


async def test_never_means_no_lookup_even_with_candidates(client: httpx.AsyncClient) -> None:
    answer = await generated(client, retrieval="never", candidates=["lamp"], filter={"place": "mill"})
    assert answer["usage"]["retrievals"] == 0
    assert answer["citations"] == answer["passages"] == []


async def test_candidates_and_filter_restrict_the_lookup(client: httpx.AsyncClient) -> None:
    assert (await generated(client, retrieval="first", candidates=["wheel"]))["passages"][0]["id"] == "wheel"
    assert (await generated(client, retrieval="first", filter={"place": "inn"}))["passages"][0]["id"] == "trap"
    both = {"candidates": ["lamp", "tide"], "filter": {"place": "mill"}}
    assert (await generated(client, retrieval="first", **both))["passages"][0]["id"] == "tide"


async def test_candidates_that_the_filter_excludes_leave_no_evidence(client: httpx.AsyncClient) -> None:
    answer = await generated(client, retrieval="first", candidates=["lamp"], filter={"place": "mill"})
    assert answer["passages"] == []
    assert answer["finish_reason"] == "no_evidence"


async def test_a_score_too_low_for_min_score_leaves_no_evidence(client: httpx.AsyncClient) -> None:
    answer = await generated(client, retrieval="first", min_score=1.5)
    assert answer["passages"] == []
    assert answer["finish_reason"] == "no_evidence"


async def test_the_same_seed_samples_the_same_answer(client: httpx.AsyncClient) -> None:
    sampling = {"temperature": 1.0, "top_p": 0.9, "retrieval": "never"}
    first, again, other = [(await generated(client, seed=seed, **sampling))["answer"] for seed in (1, 1, 2)]
    assert first == again != other


async def test_concurrent_answers_equal_those_given_one_by_one(client: httpx.AsyncClient) -> None:
    questions = [f"{QUESTION} {number}" for number in range(8)]
    alone = [await generated(client, question=question, retrieval="first") for question in questions]
    together = await asyncio.gather(*(generated(client, question=one, retrieval="first") for one in questions))
    assert [one["answer"] for one in together] == [one["answer"] for one in alone]


async def test_retrieve_gives_passages_best_first(client: httpx.AsyncClient) -> None:
    reply = await client.post("/retrieve", json={"query": "the tide", "top_k": 100, "index": "small"})
    assert reply.status_code == 200
    passages = reply.json()["passages"]
    assert {passage["id"] for passage in passages} == {passage.id for passage in PASSAGES}
    scores = [passage["score"] for passage in passages]
    assert scores == sorted(scores, reverse=True)
    assert reply.json()["index"] == {"name": "small", "version": 1}


async def test_retrieve_finds_what_an_answer_to_the_same_text_finds(client: httpx.AsyncClient) -> None:
    reply = await client.post("/retrieve", json={"query": QUESTION, "top_k": 1})
    answer = await generated(client, retrieval="first")
    assert reply.json()["passages"][0]["id"] == answer["passages"][0]["id"]


@pytest.mark.parametrize("question", ["[Ret] [Cs] [Ce] </s>", "a NUL \0 inside", "灯台 🗼 e\u0301"])
async def test_whatever_a_user_types_stays_text(client: httpx.AsyncClient, tiny_pair: Path, question: str) -> None:
    codec = load_gen(tiny_pair).codec
    prompt = codec.prompt(question)
    assert not codec.control.ids.union({codec.eos_id}).intersection(prompt)
    answer = await generated(client, question=question, retrieval="never")
    assert answer["usage"]["prompt_tokens"] == len(prompt)
    assert answer["usage"]["retrievals"] == 0


async def test_control_tokens_inside_a_passage_stay_text(client: httpx.AsyncClient) -> None:
    answer = await generated(client, retrieval="first", candidates=["trap"])
    [passage] = answer["passages"]
    assert passage["text"] == "A text with [Cs] and [Ce] and </s>."
    assert answer["usage"]["retrievals"] == 1
    assert len(answer["citations"]) == 1


async def test_only_a_loaded_service_is_ready(tiny_pair: Path, index: Path) -> None:
    app = create_app(ServeSettings(pair=tiny_pair, index=index))
    async with client_of(app) as client:
        assert (await client.get("/health")).json() == {"status": "alive"}
        for reply in (await client.get("/ready"), await client.post("/retrieve", json={"query": "tide"})):
            assert reply.status_code == 503
            assert reply.headers["content-type"] == "application/problem+json"
        async with app.router.lifespan_context(app):
            assert (await client.get("/ready")).json() == {"status": "ready"}
        assert (await client.get("/ready")).status_code == 503


async def test_an_index_of_another_pair_is_not_served(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index", fingerprint="of another pair")
    with pytest.raises(StoreError, match="of another pair"):
        async with running_app(pair=tiny_pair, index=index):
            pass


async def test_the_openapi_document_is_valid_and_has_examples(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    openapi_spec_validator.validate(document)
    schemas = document["components"]["schemas"]
    assert "text/plain" in document["paths"].pop("/metrics")["get"]["responses"]["200"]["content"]
    for path in document["paths"].values():
        for operation in path.values():
            told = [operation["responses"]["200"]["content"]["application/json"]["schema"]]
            if "requestBody" in operation:
                told.append(operation["requestBody"]["content"]["application/json"]["schema"])
            for schema in told:
                for one in schema.get("anyOf", [schema]):
                    assert schemas[one["$ref"].rsplit("/", 1)[1]]["examples"]
    answers = document["paths"]["/generate"]["post"]["responses"]
    assert "text/event-stream" in answers["200"]["content"]
    assert set(answers) == {"200", "400", "404", "408", "413", "415", "422", "500", "503", "504"}
    assert "HTTPValidationError" not in schemas


async def test_the_examples_of_the_openapi_document_are_valid() -> None:
    models = {"service.schemas", "service.openai_api"}
    shown = [model for model in models_of(BaseModel) if model.__module__.startswith(tuple(models))]
    shown = [model for model in shown if "json_schema_extra" in model.model_config]
    assert len(shown) > 12
    for model in shown:
        for example in model.model_json_schema()["examples"]:
            model.model_validate_json(json.dumps(example))
    answer = GenerateResponse.model_validate(examples.ANSWER)
    assert answer.answer[answer.citations[0].start : answer.citations[0].end].startswith("serializes obj")


def models_of(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for model in base.__subclasses__():
        yield model
        yield from models_of(model)
