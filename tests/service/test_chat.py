"""Chat completions, asked with OpenAI's own client: what it reads is what `/generate` says."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion_message import Annotation

from tests.service.lively import save_lively_pair
from tests.service.running import running_app
from tests.small_index import build_small_index

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = "What does the keeper write down?"
LOOKUP: dict[str, Any] = {"retrieval": "first", "max_retrievals": 3}
PLAIN: dict[str, Any] = {"retrieval": "never"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    folder = tmp_path_factory.mktemp("chat")
    pair = save_lively_pair(folder / "lively")
    async with running_app(pair=pair, index=build_small_index(pair, folder / "index")) as client:
        yield client


@pytest.fixture(scope="module")
def client(http: httpx.AsyncClient) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url="http://localhost/v1", api_key="none", http_client=http, max_retries=0)


async def generated(http: httpx.AsyncClient, question: str = QUESTION, **fields: Any) -> dict[str, Any]:
    reply = await http.post("/generate", json={"question": question, "max_new_tokens": 40} | fields)
    assert reply.status_code == 200, reply.text
    answer: dict[str, Any] = reply.json()
    return answer


async def chatted(
    client: openai.AsyncOpenAI, *said: Any, extra: dict[str, Any] = LOOKUP, **more: Any
) -> ChatCompletion:
    messages: list[Any] = list(said) or [{"role": "user", "content": QUESTION}]
    more = {"max_completion_tokens": 40} | more
    completion = await client.chat.completions.create(model="lively", messages=messages, extra_body=extra, **more)
    assert isinstance(completion, ChatCompletion)
    return completion


async def chunks_of(client: openai.AsyncOpenAI, **more: Any) -> list[ChatCompletionChunk]:
    stream = await client.chat.completions.create(
        model="lively",
        messages=[{"role": "user", "content": QUESTION}],
        max_completion_tokens=40,
        stream=True,
        extra_body=LOOKUP,
        **more,
    )
    return [chunk async for chunk in stream]


async def test_a_chat_of_one_message_is_answered_as_generate_answers(
    http: httpx.AsyncClient, client: openai.AsyncOpenAI
) -> None:
    whole = await generated(http, **LOOKUP)
    completion = await chatted(client)
    [choice] = completion.choices
    assert choice.message.content == whole["answer"]
    assert choice.finish_reason == whole["finish_reason"]
    assert completion.model == "lively"
    assert completion.id.startswith("chatcmpl-")
    assert completion.usage is not None
    assert completion.usage.prompt_tokens == whole["usage"]["prompt_tokens"] + whole["usage"]["passage_tokens"]
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    extra = completion.model_extra or {}
    assert extra["index"] == {"name": "small", "version": 1}
    assert extra["dropped_turns"] == 0
    assert [passage["id"] for passage in extra["passages"]] == [passage["id"] for passage in whole["passages"]]


async def test_citations_are_annotations_that_openais_types_accept_with_offsets_in_code_points(
    http: httpx.AsyncClient, client: openai.AsyncOpenAI
) -> None:
    whole = await generated(http, **LOOKUP)
    message = (await chatted(client)).choices[0].message
    assert message.annotations
    for annotation, citation in zip(message.annotations, whole["citations"], strict=True):
        assert Annotation.model_validate(annotation.model_dump()) == annotation
        place, extra = annotation.url_citation, annotation.model_extra or {}
        assert (place.start_index, place.end_index) == (citation["start"], citation["end"])
        assert extra["passage_id"] == citation["passage_id"]
        assert extra["score"] == citation["score"]
        [passage] = [passage for passage in whole["passages"] if passage["id"] == citation["passage_id"]]
        assert place.title == passage["title"]
        assert extra["source"] == passage["source"]
        assert place.url == ""  # none of these sources is a web address


async def test_a_stream_carries_the_same_answer_annotations_and_usage(client: openai.AsyncOpenAI) -> None:
    whole = await chatted(client)
    chunks = await chunks_of(client, stream_options={"include_usage": True})
    assert {chunk.id for chunk in chunks} == {chunks[0].id}
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert deltas[0].role == "assistant"
    assert "".join(delta.content or "" for delta in deltas) == whole.choices[0].message.content
    streamed = [one for delta in deltas for one in (delta.model_extra or {}).get("annotations", [])]
    assert streamed == [one.model_dump() for one in whole.choices[0].message.annotations or []]
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert not chunks[-1].choices
    assert chunks[-1].usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks[:-1])


async def test_a_stream_tells_of_tokens_only_where_it_is_asked_to(client: openai.AsyncOpenAI) -> None:
    chunks = await chunks_of(client)
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_an_answer_can_be_sent_back_as_it_came_and_is_an_earlier_turn(
    http: httpx.AsyncClient, client: openai.AsyncOpenAI
) -> None:
    first = (await chatted(client)).choices[0].message
    completion = await chatted(
        client, {"role": "user", "content": QUESTION}, first, {"role": "user", "content": "When?"}, extra=PLAIN
    )
    text = f"User: {QUESTION}\n\nAssistant: {first.content}\n\nWhen?"
    assert completion.choices[0].message.content == (await generated(http, text, **PLAIN))["answer"]


async def test_the_oldest_turns_are_dropped_where_the_context_is_too_short(client: openai.AsyncOpenAI) -> None:
    turns = [
        {"role": "user", "content": "The lamp is lit at dusk. " * 8},
        {"role": "assistant", "content": "Yes."},
    ] * 20
    completion = await chatted(client, *turns, {"role": "user", "content": QUESTION})
    dropped = (completion.model_extra or {})["dropped_turns"]
    assert 30 < dropped < 40
    assert completion.usage is not None
    assert completion.usage.total_tokens < 511


async def test_an_answer_without_evidence_says_so(client: openai.AsyncOpenAI) -> None:
    [choice] = (await chatted(client, extra=LOOKUP | {"min_score": 2.0})).choices
    assert choice.finish_reason in {"stop", "length"}
    assert not choice.message.annotations
    assert (choice.model_extra or {})["no_evidence"] is (choice.finish_reason == "stop")


async def test_candidates_and_filter_restrict_the_lookups_of_a_chat(client: openai.AsyncOpenAI) -> None:
    extra = {"retrieval": "first", "max_retrievals": 1, "candidates": ["wheel", "tide"], "filter": {"page": 3}}
    passages = ((await chatted(client, extra=extra)).model_extra or {})["passages"]
    assert [passage["id"] for passage in passages] == ["wheel"]


async def test_the_pair_is_the_only_model(client: openai.AsyncOpenAI) -> None:
    [model] = (await client.models.list()).data
    assert model.id == "lively"
    assert await client.models.retrieve("lively") == model
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt'"):
        await client.models.retrieve("gpt")


async def test_parameters_that_ask_for_what_happens_anyway_are_taken(client: openai.AsyncOpenAI) -> None:
    completion = await chatted(
        client,
        n=1,
        temperature=0,
        top_p=1.0,
        seed=7,
        frequency_penalty=0,
        presence_penalty=0.0,
        response_format={"type": "text"},
        logprobs=False,
        stop=None,
        tools=[],
        user="someone",
        metadata={"a": "b"},
        store=False,
    )
    assert completion.choices[0].message.content == (await chatted(client)).choices[0].message.content


async def test_a_seed_samples_the_same_answer(client: openai.AsyncOpenAI) -> None:
    first, again, other = [
        (await chatted(client, extra=PLAIN, temperature=1.0, seed=seed)).choices[0].message.content
        for seed in (1, 1, 2)
    ]
    assert first == again != other
