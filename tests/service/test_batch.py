"""Many questions in one `POST /generate`: each has its answer or its own problem."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from service.schemas import BatchResponse, GenerateResponse, Problem
from tests.service.running import running_app

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTIONS = [f"What does the keeper write down on day {day}?" for day in range(20)]
SETTINGS = {"retrieval": "first", "max_new_tokens": 6}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tiny_pair: Path, index: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running_app(pair=tiny_pair, index=index, max_sessions=4, queue=0) as client:
        yield client


async def asked(client: httpx.AsyncClient, *questions: str, **fields: Any) -> list[GenerateResponse | Problem]:
    reply = await client.post("/generate", json={"questions": questions} | SETTINGS | fields)
    assert reply.status_code == 200, reply.text
    return BatchResponse.model_validate(reply.json()).answers


async def test_a_batch_is_answered_in_its_order_as_one_by_one_and_takes_no_more_places_than_there_are(
    client: httpx.AsyncClient,
) -> None:
    answers = await asked(client, *QUESTIONS)
    for question, answer in zip(QUESTIONS[::7], answers[::7], strict=True):
        alone = await client.post("/generate", json={"question": question} | SETTINGS)
        assert isinstance(answer, GenerateResponse)
        assert answer.answer == alone.json()["answer"]
        assert answer.citations == GenerateResponse.model_validate(alone.json()).citations
    assert all(isinstance(answer, GenerateResponse) for answer in answers)


async def test_a_question_that_cannot_be_asked_is_a_problem_beside_the_answers_to_the_others(
    client: httpx.AsyncClient,
) -> None:
    first, long, last = await asked(client, QUESTIONS[0], "long " * 600, QUESTIONS[1])
    assert isinstance(first, GenerateResponse)
    assert isinstance(last, GenerateResponse)
    assert isinstance(long, Problem)
    assert long.status == 422
    assert "tokens with its prompt" in long.detail
    assert long.errors[0].pointer == "#/question"


async def test_a_question_without_a_place_is_a_problem_too(tiny_pair: Path, index: Path) -> None:
    async with running_app(pair=tiny_pair, index=index, max_sessions=1, queue=0) as client:
        body = {"question": QUESTIONS[0], "retrieval": "never", "max_new_tokens": 200}
        other = asyncio.create_task(client.post("/generate", json=body))
        await asyncio.sleep(0.1)
        [answer] = await asked(client, QUESTIONS[1])
        assert (await other).status_code == 200
        assert isinstance(answer, Problem)
        assert answer.status == 503


@pytest.mark.parametrize(
    ("fields", "pointer", "detail"),
    [
        ({}, "#", "it asks nothing; give question, or questions for several"),
        ({"question": "a", "questions": ["b"]}, "#", "it has both question and questions"),
        ({"questions": []}, "#/questions", "at least 1 item"),
        ({"questions": ["a"] * 65}, "#/questions", "at most 64 items"),
        ({"questions": ["a", " "]}, "#/questions/1", "it is empty or white space only"),
        ({"questions": ["a", 7]}, "#/questions/1", "got 7; it should be a valid string"),
        ({"questions": ["a"], "stream": True}, "#", "several questions cannot be streamed"),
        ({"questions": ["a"], "candidates": ["Lampe"]}, "#/candidates", "the index has no passage 'Lampe'"),
        ({"questions": ["a"], "max_new_tokens": 5000}, "#/max_new_tokens", "5000 is more than this service allows"),
    ],
)
@pytest.mark.bad_input
async def test_what_is_wrong_for_all_questions_refuses_the_request(
    client: httpx.AsyncClient, fields: dict[str, Any], pointer: str, detail: str
) -> None:
    reply = await client.post("/generate", json=fields)
    assert reply.status_code == 422
    [place] = reply.json()["errors"]
    assert place["pointer"] == pointer
    assert detail in place["detail"]
