"""A streamed answer in OpenAI's chunks."""

from collections.abc import AsyncGenerator, Callable

from pydantic import BaseModel
from sse_starlette import ServerSentEvent

from service.decoding.answer import Answer
from service.decoding.events import DoneEvent, Event
from service.openai_api import examples
from service.openai_api.chat_replies import ChatReply
from service.openai_api.errors import error_reply
from service.problems import problem_of
from service.streaming import EventStream

CHUNK_SCHEMA = {
    "type": "object",
    "description": "One event of the stream.",
    "properties": {"data": {"type": "string"}},
    "required": ["data"],
}

CHAT_STREAM_DESCRIPTION = {
    "description": "The answer; with `stream`, chunks of it, then `[DONE]`. An error on the way is a chunk too.",
    "content": {"text/event-stream": {"schema": CHUNK_SCHEMA, "example": examples.STREAM}},
}

_END = ServerSentEvent("[DONE]", sep="\n")


class ChatStream(EventStream):
    """Sends a chat's answer while it is written.

    Args:
        first: The event that has come already.
        rest: Those that will.
        reply: Makes chunks of them.
        include_usage: Whether a chunk tells of tokens at the end.
        on_done: Told of the whole answer.
        request_id: Of the request.
        timeout_s: Seconds that the answer and its sending may take.
    """

    def __init__(
        self,
        first: Event,
        rest: AsyncGenerator[Event, None],
        reply: ChatReply,
        *,
        include_usage: bool,
        on_done: Callable[[Answer], None],
        request_id: str,
        timeout_s: float,
    ) -> None:
        self._reply = reply
        self._include_usage = include_usage
        self._on_done = on_done
        self._request_id = request_id
        super().__init__(self._messages(first, rest), rest, timeout_s=timeout_s)

    async def _messages(self, first: Event, rest: AsyncGenerator[Event, None]) -> AsyncGenerator[ServerSentEvent, None]:
        yield _encoded(self._reply.first())
        try:
            for message in self._of_event(first):
                yield message
            async for event in rest:
                for message in self._of_event(event):
                    yield message
        except Exception as error:  # noqa: BLE001 - the status line is out, so a chunk is the only way left to tell the client
            yield _encoded(error_reply(problem_of(error, self._request_id))[1])

    def _of_event(self, event: Event) -> list[ServerSentEvent]:
        chunks = [self._reply.of_event(event)]
        if not isinstance(event, DoneEvent):
            return [_encoded(chunk) for chunk in chunks if chunk is not None]
        self._on_done(event.answer)
        if self._include_usage:
            chunks.append(self._reply.usage(event.answer))
        return [*(_encoded(chunk) for chunk in chunks if chunk is not None), _END]


def _encoded(data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(data.model_dump_json(exclude_unset=True), sep="\n")
