"""Asking a running service over HTTP what a pair on this machine is asked in this process."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from evaluation.predictions import Cited, Found, Prediction, Read
from evaluation.questions import PAGE_FIELD
from semiparametric.errors import BusyError, CosupError
from service.local import CONCURRENT, Ask, ask_all

_TIMEOUT_S = 600.0  # an answer may wait for a place and then take long
_TRIES = 20  # times that a busy service is asked again
_DEFAULT_WAIT_S = 1.0

Shape = TypeVar("Shape", bound=BaseModel)

_LENIENT = ConfigDict(extra="ignore", frozen=True)


class _Passage(BaseModel):
    model_config = _LENIENT
    id: str
    title: str = ""
    text: str
    score: float
    metadata: dict[str, Any] = Field(default_factory=dict)

    @property
    def page(self) -> str | None:
        page = self.metadata.get(PAGE_FIELD)
        return None if page is None else str(page)


class _Citation(BaseModel):
    model_config = _LENIENT
    start: int
    end: int
    passage_id: str


class _Timings(BaseModel):
    model_config = _LENIENT
    total: float


class _Answer(BaseModel):
    model_config = _LENIENT
    answer: str
    citations: list[_Citation]
    passages: list[_Passage]
    finish_reason: str
    timings: _Timings


class _Problem(BaseModel):
    model_config = _LENIENT
    detail: str


class _Passages(BaseModel):
    model_config = _LENIENT
    passages: list[_Passage]


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
    headers = {} if api_key is None else {"Authorization": f"Bearer {api_key.get_secret_value()}"}
    limits = httpx.Limits(max_connections=CONCURRENT)

    async def answer() -> list[Prediction]:
        async with httpx.AsyncClient(
            base_url=url.rstrip("/"), headers=headers, timeout=_TIMEOUT_S, limits=limits, trust_env=False
        ) as client:
            return await ask_all(lambda ask: _ask(client, ask, index), asks, on_answer)

    return asyncio.run(answer())


async def _ask(client: httpx.AsyncClient, ask: Ask, index: str | None) -> Prediction:
    blank = Prediction(dataset="-", system="-", id="-")
    try:
        found = None
        if ask.top_k:
            looked_up = await _post(client, "/retrieve", _lookup(ask, index), _Passages)
            found = [Found(id=one.id, score=one.score, page=one.page) for one in looked_up.passages]
        answer = await _post(client, "/generate", _question(ask, index), _Answer)
    except _RefusedError as error:
        return blank.model_copy(update={"refusal": str(error)})
    said: dict[str, Any] = {
        "found": found,
        "answer": answer.answer,
        "citations": [Cited(**one.model_dump()) for one in answer.citations],
        "passages": [
            Read(id=one.id, title=one.title, text=one.text, page=one.page, score=one.score) for one in answer.passages
        ],
        "finish_reason": answer.finish_reason,
        "seconds": round(answer.timings.total, 4),
    }
    return blank.model_copy(update=said)


def _lookup(ask: Ask, index: str | None) -> dict[str, Any]:
    return _scoped({"query": ask.question, "top_k": ask.top_k}, ask, index)


def _question(ask: Ask, index: str | None) -> dict[str, Any]:
    names = ("question", "retrieval", "max_retrievals", "max_new_tokens", "temperature", "top_p", "seed")
    return _scoped({name: getattr(ask, name) for name in names}, ask, index)


def _scoped(body: dict[str, Any], ask: Ask, index: str | None) -> dict[str, Any]:
    """The body with where lookups may look, as far as that is said."""
    scope = {"index": index, "candidates": None if ask.candidates is None else list(ask.candidates)}
    return body | {name: value for name, value in scope.items() if value is not None}


class _RefusedError(Exception):
    """The service will not answer this question, whenever it is asked."""


async def _post(client: httpx.AsyncClient, path: str, body: dict[str, Any], shape: type[Shape]) -> Shape:
    for _ in range(_TRIES):
        try:
            reply = await client.post(path, json=body)
        except httpx.HTTPError as error:
            raise CosupError(
                f"the service does not answer any more ({type(error).__name__}: {error})".rstrip(": "),
                where=f"{client.base_url}{path}",
                remedy="Start it, and give the same command again: it goes on where it stopped",
            ) from error
        if reply.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            return _read(reply, shape)
        await asyncio.sleep(_wait_s(reply))
    raise BusyError("the service stayed too busy", where=str(client.base_url), remedy="Give the same command again")


def _read(reply: httpx.Response, shape: type[Shape]) -> Shape:
    if reply.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        raise _RefusedError(_detail(reply))
    if reply.status_code != httpx.codes.OK:
        raise CosupError(
            f"the service answered {reply.status_code}: {_detail(reply)}",
            where=str(reply.url),
            remedy="Mend it (its log says more), and give the same command again: it goes on where it stopped",
        )
    try:
        return shape.model_validate_json(reply.content)
    except ValidationError as error:
        raise CosupError(
            "the service answered something else than Cosup does",
            where=str(reply.url),
            remedy="Give the address of a `cosup serve`, without a path",
        ) from error


def _detail(reply: httpx.Response) -> str:
    """What a problem document says, or the beginning of any other body."""
    try:
        return _Problem.model_validate_json(reply.content).detail
    except ValidationError:
        return reply.text[:200]


def _wait_s(reply: httpx.Response) -> float:
    asked = reply.headers.get("retry-after", "")
    return float(asked) if asked.isdigit() else _DEFAULT_WAIT_S
