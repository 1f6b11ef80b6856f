"""From the answer of the decoding loop to OpenAI's shapes."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from service.decoding.answer import Answer, Citation, ScoredPassage, Usage
from service.decoding.events import CitationEvent, DoneEvent, Event, RetrievalEvent, TokenEvent
from service.openai_api.chat_response import (
    Annotation,
    AssistantMessage,
    ChatChunk,
    ChatCompletion,
    ChatFinishReason,
    ChatUsage,
    Choice,
    ChunkChoice,
    Delta,
    UrlCitation,
)
from service.replies import passage_results
from service.schemas import IndexInfo

_WEB_ADDRESS = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)


@dataclass
class ChatReply:
    """One reply: what all its pieces say of themselves, and the passages that citations are told by.

    id: of the completion.
    model: name of the pair.
    index: what it is answered from.
    dropped_turns: earlier turns that were left out.
    """

    id: str
    model: str
    index: IndexInfo
    dropped_turns: int
    created: int = field(default_factory=lambda: int(time.time()))
    _passages: dict[str, ScoredPassage] = field(default_factory=dict)

    def whole(self, answer: Answer) -> ChatCompletion:
        """The completion."""
        self._know(answer.passages)
        message = AssistantMessage(
            role="assistant",
            content=answer.text,
            refusal=None,
            annotations=[self._annotation(citation) for citation in answer.citations],
        )
        choice = Choice(
            index=0,
            message=message,
            logprobs=None,
            finish_reason=_finish_reason(answer),
            no_evidence=answer.finish_reason == "no_evidence",
        )
        return ChatCompletion(
            id=self.id,
            object="chat.completion",
            created=self.created,
            model=self.model,
            choices=[choice],
            usage=_usage(answer.usage),
            passages=passage_results(answer.passages),
            index=self.index,
            dropped_turns=self.dropped_turns,
        )

    def first(self) -> ChatChunk:
        """The chunk that opens a stream."""
        chunk = self._chunk(Delta(role="assistant", content=""))
        return chunk.model_copy(update={"index": self.index, "dropped_turns": self.dropped_turns})

    def of_event(self, event: Event) -> ChatChunk | None:
        """The chunk of an event; None of one that the chat does not tell of."""
        match event:
            case TokenEvent(text):
                return self._chunk(Delta(content=text))
            case CitationEvent(citation):
                return self._chunk(Delta(annotations=[self._annotation(citation)]))
            case DoneEvent(answer):
                return self._last(answer)
            case RetrievalEvent(passages):
                self._know(passages)
                return None

    def usage(self, answer: Answer) -> ChatChunk:
        """The chunk that tells of tokens, after the last one."""
        return self._with_choices([]).model_copy(update={"usage": _usage(answer.usage)})

    def _know(self, passages: Sequence[ScoredPassage]) -> None:
        self._passages |= {found.passage.id: found for found in passages}

    def _annotation(self, citation: Citation) -> Annotation:
        passage = self._passages[citation.passage_id].passage
        place = UrlCitation(
            start_index=citation.start, end_index=citation.end, title=passage.title, url=_address(passage.source)
        )
        return Annotation(
            type="url_citation",
            url_citation=place,
            passage_id=citation.passage_id,
            source=passage.source,
            score=citation.score,
            probability=citation.probability,
        )

    def _last(self, answer: Answer) -> ChatChunk:
        choice = ChunkChoice(
            index=0,
            delta=Delta(),
            logprobs=None,
            finish_reason=_finish_reason(answer),
            no_evidence=answer.finish_reason == "no_evidence",
        )
        return self._with_choices([choice]).model_copy(update={"passages": passage_results(answer.passages)})

    def _chunk(self, delta: Delta) -> ChatChunk:
        return self._with_choices([ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=None)])

    def _with_choices(self, choices: list[ChunkChoice]) -> ChatChunk:
        return ChatChunk(
            id=self.id, object="chat.completion.chunk", created=self.created, model=self.model, choices=choices
        )


def _address(source: str | None) -> str:
    """The source as something to be linked to: a page may make a link of it, so nothing but the web's two schemes."""
    return source if source is not None and _WEB_ADDRESS.fullmatch(source) else ""


def _finish_reason(answer: Answer) -> ChatFinishReason:
    return "length" if answer.finish_reason == "length" else "stop"


def _usage(usage: Usage) -> ChatUsage:
    prompt_tokens = usage.prompt_tokens + usage.passage_tokens
    return ChatUsage(
        prompt_tokens=prompt_tokens,
        completion_tokens=usage.completion_tokens,
        total_tokens=prompt_tokens + usage.completion_tokens,
        passage_tokens=usage.passage_tokens,
        retrievals=usage.retrievals,
    )
