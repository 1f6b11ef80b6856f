"""From a chat's request to a question as `POST /generate` knows it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from semiparametric.codec import Codec
from semiparametric.errors import InputError
from service.openai_api.chat_request import ChatRequest
from service.openai_api.conversation import read_conversation, turns_that_fit
from service.schemas import GenerateRequest
from service.settings import ServeSettings

_END_TOKENS = 2
"""What must fit behind a prompt at least: `[Ret]` and one more."""


@dataclass(frozen=True)
class AskedChat:
    """A chat as a question.

    body: the question, with what fits of the conversation before it.
    dropped_turns: earlier turns that did not fit.
    """

    body: GenerateRequest
    dropped_turns: int


def asked_chat(chat: ChatRequest, codec: Codec, context_length: int, settings: ServeSettings) -> AskedChat:
    """Read the conversation. It counts tokens, so call it in a thread.

    Earlier turns are kept as long as behind them an answer of full length and one passage still fit; the oldest go
    first. Instructions and question stay whatever their length: if they alone do not fit the context, decoding refuses.
    """
    conversation = read_conversation(chat.messages)
    passage_tokens = 0 if chat.retrieval == "never" else codec.spec.passage.max_tokens
    room = context_length - _END_TOKENS - passage_tokens - (chat.limit or settings.max_new_tokens)
    kept = turns_that_fit(conversation, room, lambda text: len(codec.prompt(text)))
    body = GenerateRequest(
        index=chat.index,
        filter=chat.filter,
        candidates=chat.candidates,
        retrieval=chat.retrieval,
        max_retrievals=chat.max_retrievals,
        top_k=chat.top_k,
        min_score=chat.min_score,
        question=conversation.text(kept),
        max_new_tokens=chat.limit,
        temperature=chat.temperature or 0.0,
        top_p=1.0 if chat.top_p is None else chat.top_p,
        seed=chat.seed,
    )
    return AskedChat(body, len(conversation.turns) - kept)


@contextmanager
def fields_called(names: Mapping[str, str]) -> Iterator[None]:
    """Errors about a field speak of the name under which the client knows it."""
    try:
        yield
    except InputError as error:
        where = names.get(error.where, error.where) if error.where else None
        raise InputError(error.message, where=where, remedy=error.remedy) from error


def names_in(chat: ChatRequest) -> dict[str, str]:
    """What the fields of `/generate` are called in this request."""
    limit = "max_completion_tokens" if chat.max_completion_tokens is not None else "max_tokens"
    return {"question": "messages", "max_new_tokens": limit}
