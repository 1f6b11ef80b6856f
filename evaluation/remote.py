"""Asking a running service over HTTP what a pair on this machine is asked in this process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic import SecretStr

from evaluation.predictions import UNSAID, Cited, Found, Prediction, Read, page_of
from semiparametric.errors import BusyError, CosupError
from service.client import AsyncClient, BusyServiceError, GenerateResponse, LookupOptions, RequestError, ServiceError
from service.local import Ask, ask_all

_TIMEOUT_S = 600.0  # an answer may wait for a place and then take long
_TRIES = 20  # times that a busy service is asked again
_REFUSED = (413, 422)  # too large, and against a rule: other requests may be fine

Reply = TypeVar("Reply")


def answer_all_remotely(
    url: str,
    asks: Sequence[Ask],
    on_answer: Callable[[int, Prediction], None] | None = None,
    *,
    index: str | None = None,
    api_key: SecretStr | None = None,
) -> list[Prediction]:
    """Ask a service all questions; the predictions stand in their order and name no set, system or question yet.

    A question that the service refuses has a prediction that says so. One that it is too busy for is asked again.

    Args:
        url: Its address.
        asks: In any number.
        on_answer: Told of each prediction as it comes, with the number of its question.
        index: Name of the index to search; the service's default one if None.
        api_key: Sent as a bearer token.

    Raises:
        CosupError: The service cannot be reached, stopped, failed, or is no Cosup.
        BusyError: It was too busy for too long.
    """
    key = None if api_key is None else api_key.get_secret_value()

    async def answer() -> list[Prediction]:
        async with AsyncClient(url, key=key, timeout_s=_TIMEOUT_S) as client:
            return await ask_all(lambda ask: _ask(client, ask, index), asks, on_answer)

    try:
        return asyncio.run(answer())
    except ServiceError as error:
        kind = BusyError if isinstance(error, BusyServiceError) else CosupError
        remedy = "Give the same command again when the service answers: it goes on where it stopped"
        raise kind(error.message, where=url, remedy=remedy) from error


async def _ask(client: AsyncClient, ask: Ask, index: str | None) -> Prediction:
    scope: LookupOptions = {"index": index, "candidates": ask.candidates}
    found = None
    try:
        if ask.top_k:
            ranked = await _patiently(lambda: client.retrieve(ask.question, top_k=ask.top_k, **scope))
            found = [Found(id=one.id, score=one.score, page=page_of(one.metadata)) for one in ranked.passages]
        answer = await _patiently(
            lambda: client.generate(
                ask.question,
                retrieval=ask.retrieval,
                max_retrievals=ask.max_retrievals,
                max_new_tokens=ask.max_new_tokens,
                temperature=ask.temperature,
                top_p=ask.top_p,
                seed=ask.seed,
                **scope,
            )
        )
    except RequestError as error:
        if error.status not in _REFUSED:
            raise
        return Prediction(dataset=UNSAID, system=UNSAID, id=UNSAID, refusal=error.message)
    return _prediction_of(answer, found)


async def _patiently(ask: Callable[[], Awaitable[Reply]]) -> Reply:
    """Ask again while the service is too busy, or has answered this key as often as it may in this minute."""
    for _ in range(_TRIES - 1):
        try:
            return await ask()
        except BusyServiceError as error:
            await asyncio.sleep(error.retry_after_s)
    return await ask()


def _prediction_of(answer: GenerateResponse, found: list[Found] | None) -> Prediction:
    return Prediction(
        dataset=UNSAID,
        system=UNSAID,
        id=UNSAID,
        found=found,
        answer=answer.answer,
        citations=[Cited(start=one.start, end=one.end, passage_id=one.passage_id) for one in answer.citations],
        passages=[
            Read(id=one.id, title=one.title, text=one.text, page=page_of(one.metadata), score=one.score)
            for one in answer.passages
        ],
        finish_reason=answer.finish_reason,
        seconds=round(answer.timings.total, 4),
    )
