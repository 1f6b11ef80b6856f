"""The client that awaits; it does what `Client` does."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
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


class AsyncClient:
    """Asks a running service, as `Client` does; its arguments and exceptions are the same."""

    def __init__(
        self, url: str, *, key: str | None = None, timeout_s: float = 300.0, http: httpx.AsyncClient | None = None
    ) -> None:
        self._url = url
        self._http = httpx.AsyncClient(**Where(url, key, timeout_s).options()) if http is None else http

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def generate(self, question: str, **options: Unpack[AnswerOptions]) -> GenerateResponse:
        """Answer a question with citations."""
        return read(await self._post("/generate", {"question": question, **options}), GenerateResponse)

    async def generate_many(
        self, questions: Sequence[str], **options: Unpack[AnswerOptions]
    ) -> list[GenerateResponse | ServiceError]:
        """Answer up to 64 questions; one that failed has its exception in the place of its answer."""
        return read_answers(await self._post("/generate", {"questions": list(questions), **options}))

    async def stream(self, question: str, **options: Unpack[AnswerOptions]) -> AsyncGenerator[StreamEvent, None]:
        """Answer a question piece by piece; the last event is the whole answer. Closing the generator ends the work."""
        body = {"question": question, "stream": True, **options}
        with reaching(self._url):
            async with self._http.stream("POST", "/generate", json=body) as reply:
                if not reply.is_success:
                    await reply.aread()
                    refuse_problem(reply)
                async with aclosing(event_source(reply).aiter_sse()) as messages:
                    async for message in messages:
                        event = event_of(message)
                        if event is not None:
                            yield event
                        if isinstance(event, GenerateResponse):
                            break
                    else:
                        raise FailedError(f"the stream of {self._url} ended before the answer did")
                    with past_the_answer():
                        await anext(messages, None)

    async def retrieve(self, query: str, *, top_k: int = 5, **options: Unpack[LookupOptions]) -> RetrieveResponse:
        """The passages nearest to a query, best first."""
        return read(await self._post("/retrieve", {"query": query, "top_k": top_k, **options}), RetrieveResponse)

    async def indexes(self) -> IndexesResponse:
        """The indexes that can be asked."""
        with reaching(self._url):
            reply = await self._http.get("/indexes")
        return read(reply, IndexesResponse)

    async def _post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        with reaching(self._url):
            return await self._http.post(path, json=body)
