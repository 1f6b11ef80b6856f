"""`POST /v1/chat/completions`: the answers of `/generate` in OpenAI's shape."""

import asyncio
from dataclasses import asdict

from fastapi import APIRouter, Request, Response

from service.answering import begin_answer
from service.decoding.answer import Answer
from service.decoding.events import whole_answer
from service.disconnects import while_connected
from service.openai_api.chat import asked_chat, fields_called, names_in
from service.openai_api.chat_replies import ChatReply
from service.openai_api.chat_request import ChatRequest
from service.openai_api.chat_response import ChatCompletion
from service.openai_api.chat_stream import CHAT_STREAM_DESCRIPTION, ChatStream
from service.openai_api.errors import errors
from service.openai_api.models import pair_name, refuse_other_model
from service.refusals import request_id_of
from service.replies import index_info
from service.routes.context import Configured, Drawn, Loaded, ReadableIndexes

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post(
    "/chat/completions",
    response_model=ChatCompletion,
    responses={200: CHAT_STREAM_DESCRIPTION, **errors(400, 404, 408, 413, 415, 500, 503, 504)},
)
async def post_chat_completions(
    chat: ChatRequest, request: Request, resources: Loaded, readable: ReadableIndexes, settings: Configured, maps: Drawn
) -> ChatCompletion | Response:
    """Answer the last message of a conversation with citations as annotations. With `stream`, send chunks."""
    refuse_other_model(chat.model, settings.pair)
    version = readable.version_of(chat.index)
    asked = await asyncio.to_thread(asked_chat, chat, resources.codec, resources.engine.context_length, settings)
    request_id = request_id_of(request)
    model, index = pair_name(settings.pair), index_info(version)
    reply = ChatReply(f"chatcmpl-{request_id}", model, index, asked.dropped_turns)

    def note(answer: Answer) -> None:
        request.state.timings.update(asdict(answer.timings))

    with fields_called(names_in(chat)):
        events = await begin_answer(asked.body, version, resources, settings, maps)
        if not chat.stream:
            answer = await while_connected(request, whole_answer(events))
            note(answer)
            return reply.whole(answer)
        # The first event comes before the status line, so that a refusal and a full queue have a status of their own.
        first = await while_connected(request, anext(events))
    return ChatStream(
        first,
        events,
        reply,
        include_usage=chat.stream_options is not None and bool(chat.stream_options.include_usage),
        on_done=note,
        request_id=request_id,
        timeout_s=settings.timeout_s,
    )
