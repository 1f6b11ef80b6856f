"""What `POST /v1/chat/completions` answers, whole and in chunks."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from service.openai_api import examples
from service.schemas import IndexInfo, PassageResult

_RESPONSE = ConfigDict(extra="forbid", frozen=True)


class UrlCitation(BaseModel):
    """Where a cited stretch stands, and where it comes from."""

    model_config = _RESPONSE

    start_index: int = Field(description="First character, in Unicode code points of the content.")
    end_index: int = Field(description="One past the last character.")
    title: str = Field(description="Title of the passage; may be empty.")
    url: str = Field(description="Source of the passage where that is a web address, else empty.")


class Annotation(BaseModel):
    """A citation. What OpenAI's shape has no place for stands beside it."""

    model_config = _RESPONSE

    type: Literal["url_citation"]
    url_citation: UrlCitation
    passage_id: str = Field(description="Id of the passage.")
    source: str | None = Field(description="Where the passage comes from, web address or not.")
    score: float = Field(description="Score of the passage in its lookup.")
    probability: float = Field(description="As in `/generate`.")


class AssistantMessage(BaseModel):
    """The answer."""

    model_config = _RESPONSE

    role: Literal["assistant"]
    content: str = Field(description="Clean text, no markers.")
    refusal: None
    annotations: list[Annotation] = Field(description="Cited stretches in the order of the content.")


ChatFinishReason = Literal["stop", "length"]


class Choice(BaseModel):
    """The only choice there is."""

    model_config = _RESPONSE

    index: Literal[0]
    message: AssistantMessage
    logprobs: None
    finish_reason: ChatFinishReason = Field(description="`stop`: Gen ended; `length`: a limit ended it.")
    no_evidence: bool = Field(description="Whether it ended with a lookup that found nothing good enough.")


class ChatUsage(BaseModel):
    """Tokens and lookups."""

    model_config = _RESPONSE

    prompt_tokens: int = Field(description="Tokens that Gen was given: the conversation, and passages.")
    completion_tokens: int = Field(description="Tokens that Gen wrote, control tokens included.")
    total_tokens: int
    passage_tokens: int = Field(description="Those of the prompt that lookups put there.")
    retrievals: int = Field(description="Lookups.")


class ChatCompletion(BaseModel):
    """An answer in OpenAI's shape."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.COMPLETION]})

    id: str
    object: Literal["chat.completion"]
    created: int = Field(description="Seconds since 1970.")
    model: str
    choices: list[Choice]
    usage: ChatUsage
    passages: list[PassageResult] = Field(description="The passages that the answer used, in the order of first use.")
    index: IndexInfo
    dropped_turns: int = Field(description="Earlier turns that did not fit the context and were left out.")


class Delta(BaseModel):
    """What is new."""

    model_config = _RESPONSE

    role: Literal["assistant"] | None = None
    content: str | None = None
    annotations: list[Annotation] | None = None


class ChunkChoice(BaseModel):
    """The only choice, as far as it is new."""

    model_config = _RESPONSE

    index: Literal[0]
    delta: Delta
    logprobs: None
    finish_reason: ChatFinishReason | None
    no_evidence: bool | None = Field(default=None, description="With the finish reason.")


class ChatChunk(BaseModel):
    """A piece of a streamed answer, to be sent without its unset fields."""

    model_config = _RESPONSE

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: ChatUsage | None = Field(default=None, description="In the last chunk, where the request asked for it.")
    passages: list[PassageResult] | None = Field(default=None, description="With the finish reason.")
    index: IndexInfo | None = Field(default=None, description="In the first chunk.")
    dropped_turns: int | None = Field(default=None, description="In the first chunk.")
