"""What both clients send and how they read it: everything but the waiting."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, TypedDict, TypeVar

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError
from pydantic import BaseModel, ValidationError

from semiparametric.formats import Scalar
from service.client.errors import FailedError, ServiceError, UnreachableError, error_of, error_of_problem
from service.schemas import BatchResponse, CitationResult, GenerateResponse, Problem, RetrievalData, TokenData

Model = TypeVar("Model", bound=BaseModel)

StreamEvent = TokenData | RetrievalData | CitationResult | GenerateResponse
"""What a stream gives: text, what a lookup found, a citation that has ended, and last the whole answer."""


class LookupOptions(TypedDict, total=False):
    """Where a lookup may look: the fields of `POST /retrieve`."""

    index: str | None
    filter: Mapping[str, Scalar]
    candidates: Sequence[str] | None


class AnswerOptions(LookupOptions, total=False):
    """How a question is answered: the fields of `POST /generate`, with its defaults."""

    retrieval: Literal["auto", "first", "never"]
    max_retrievals: int
    top_k: int
    min_score: float | None
    max_new_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None


@dataclass(frozen=True)
class Where:
    """A service.

    url: its address, as in http://localhost:8000.
    key: a key of it, where it asks for one.
    timeout_s: seconds without a sign of life after which it is given up.
    """

    url: str
    key: str | None = None
    timeout_s: float = 300.0

    def options(self) -> dict[str, Any]:
        """Arguments of an httpx client."""
        url = httpx.URL(self.url)
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return {
            "base_url": url,
            "headers": headers,
            "timeout": self.timeout_s,
            "trust_env": url.host not in _LOOPBACK,  # no proxy reaches our own machine
        }


_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def read(reply: httpx.Response, model: type[Model]) -> Model:
    """The body of a reply that has been read.

    Raises:
        ServiceError: It tells of a problem, or is not what a service answers.
    """
    refuse_problem(reply)
    return _model(model, reply.content)


def read_answers(reply: httpx.Response) -> list[GenerateResponse | ServiceError]:
    """The answers of a batch; in place of one that failed, its exception.

    Raises:
        ServiceError: As in `read`.
    """
    answers = read(reply, BatchResponse).answers
    return [error_of_problem(answer) if isinstance(answer, Problem) else answer for answer in answers]


@contextmanager
def reaching(where: str) -> Iterator[None]:
    """What goes wrong on the way becomes an exception of ours.

    Raises:
        UnreachableError: No answer came, or the connection broke.
        FailedError: What came is no answer.
    """
    try:
        yield
    except SSEError as error:  # a TransportError too
        raise FailedError(f"{where} did not answer with a stream ({error})") from error
    except httpx.DecodingError as error:
        raise FailedError(f"{where} did not answer with what its Content-Encoding says ({error})") from error
    except httpx.TransportError as error:
        raise UnreachableError(
            f"the service did not answer ({type(error).__name__}: {error})".replace(": )", ")"),
            where=where,
            remedy="Is it running, and is this its address?",
        ) from error


def refuse_problem(reply: httpx.Response) -> None:
    """Raise the exception of a reply that is no success and has been read."""
    if not reply.is_success:
        raise error_of(reply.status_code, reply.content, reply.headers.get("retry-after"))


def event_source(reply: httpx.Response) -> EventSource:
    """The events of a stream. They are UTF-8 whatever charset the reply names, which could be none of text at all."""
    reply.encoding = "utf-8"
    return EventSource(reply)


def past_the_answer() -> AbstractContextManager[None]:
    """For reading on to the end of a stream whose answer has come: a connection that is not read out is not used again.

    What goes wrong there, such as an end that does not come within the time limit, takes nothing back from the answer.
    """
    return suppress(httpx.RequestError)


def event_of(event: ServerSentEvent) -> StreamEvent | None:
    """An event of a stream; None of a kind that this client does not know, as a newer service may send.

    Raises:
        ServiceError: It tells of a problem.
    """
    data = event.data.encode()
    if event.event == "error":
        raise error_of_problem(_model(Problem, data))
    kind = _EVENTS.get(event.event)
    return None if kind is None else _model(kind, data)


_EVENTS: Mapping[str, type[TokenData | RetrievalData | CitationResult | GenerateResponse]] = {
    "token": TokenData,
    "retrieval": RetrievalData,
    "citation": CitationResult,
    "done": GenerateResponse,
}


def _model(model: type[Model], content: bytes) -> Model:
    try:
        return model.model_validate_json(content, extra="ignore")  # a newer service may say more
    except ValidationError as error:
        raise FailedError(f"it answered something else than {model.__name__} ({error.error_count()} errors)") from error
