"""The client that waits."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import httpx

from service.client.errors import FailedError, ServiceError
from service.client.requests import (
    AnswerOptions,
    LookupOptions,
    StreamEvent,
    Where,
    event_of,
    event_source,
    past_the_answer,
    reaching,
    read,
    read_answers,
    refuse_problem,
)
from service.schemas import GenerateResponse, IndexesResponse, RetrieveResponse


class Client:
    """Asks a running service. Use it as a context manager, or close it.

    Every method raises a `ServiceError`: `UnreachableError`, `RequestError`, `NotFoundError`, `KeyRefusedError`,
    `BusyServiceError` or `FailedError`.

    Args:
        url: The service's address, as in http://localhost:8000.
        key: A key of it, where it asks for one.
        timeout_s: Seconds without a sign of life after which it is given up.
        http: Another httpx client than one of its own; address and key are those of that client then.
    """

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = 300.0, http: httpx.Client | None = None
    ) -> None:
        self._url = url
        self._http = httpx.Client(**Where(url, key, timeout_s).options()) if http is None else http

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def generate(self, question: str, **options: Unpack[AnswerOptions]) -> GenerateResponse:
        """Answer a question with citations."""
        return read(self._post("/generate", {"question": question, **options}), GenerateResponse)

    def generate_many(
        self, questions: Sequence[str], **options: Unpack[AnswerOptions]
    ) -> list[GenerateResponse | ServiceError]:
        """Answer up to 64 questions; one that failed has its exception in the place of its answer."""
        return read_answers(self._post("/generate", {"questions": list(questions), **options}))

    def stream(self, question: str, **options: Unpack[AnswerOptions]) -> Iterator[StreamEvent]:
        """Answer a question piece by piece; the last event is the whole answer. Closing the iterator ends the work."""
        body = {"question": question, "stream": True, **options}
        with reaching(self._url), self._http.stream("POST", "/generate", json=body) as reply:
            if not reply.is_success:
                reply.read()
                refuse_problem(reply)
            messages = event_source(reply).iter_sse()
            for message in messages:
                event = event_of(message)
                if event is not None:
                    yield event
                if isinstance(event, GenerateResponse):
                    break
            else:
                raise FailedError(f"the stream of {self._url} ended before the answer did")
            with past_the_answer():
                next(messages, None)

    def retrieve(self, query: str, *, top_k: int = 5, **options: Unpack[LookupOptions]) -> RetrieveResponse:
        """The passages nearest to a query, best first."""
        return read(self._post("/retrieve", {"query": query, "top_k": top_k, **options}), RetrieveResponse)

    def indexes(self) -> IndexesResponse:
        """The indexes that can be asked."""
        with reaching(self._url):
            reply = self._http.get("/indexes")
        return read(reply, IndexesResponse)

    def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        with reaching(self._url):
            return self._http.post(path, json=body)
