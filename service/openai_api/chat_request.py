"""The body of `POST /v1/chat/completions`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from service.fields import REQUEST, RequestBody, Seed, Text
from service.openai_api import examples
from service.openai_api.only import Only
from service.schemas import AnswerLookups

_CONTENT_RULE = 'it is text, or a list of parts like {"type": "text", "text": "..."}; nothing else can be read here'


def _joined(value: Any) -> Any:
    """The text of a content given in parts, a line each."""
    if not isinstance(value, list):
        if isinstance(value, str):
            return value
        raise PydanticCustomError("text", _CONTENT_RULE)
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in value]
    if any(not isinstance(text, str) for text in texts):
        raise PydanticCustomError("text", _CONTENT_RULE)
    return "\n".join(str(text) for text in texts)


_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
Content = Annotated[
    Text,
    BeforeValidator(_joined),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": _PART}]}),
]


class ChatMessage(BaseModel):
    """One message of a conversation. One that this service has sent can be sent back as it is."""

    model_config = REQUEST

    role: Literal["system", "developer", "user", "assistant"] = Field(description="Who says it.")
    content: Content = Field(description="What is said: text, or parts of it. Control tokens in it stay text.")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        default=None, description="The name that Gen reads in place of the role."
    )
    annotations: list[Any] | None = Field(default=None, description="Of an earlier answer; not read.")
    refusal: Annotated[Any, Only()] = None
    audio: Annotated[Any, Only()] = None
    function_call: Annotated[Any, Only()] = None
    tool_calls: Annotated[Any, Only([])] = None


class StreamOptions(BaseModel):
    """What a stream holds beside the answer."""

    model_config = REQUEST

    include_usage: bool | None = Field(default=None, description="Whether a last chunk tells of tokens.")
    include_obfuscation: Annotated[Any, Only(False)] = None


class Neutral(RequestBody):
    """Parameters of OpenAI's that are known here only by what they do when they are left out."""

    audio: Annotated[Any, Only()] = None
    frequency_penalty: Annotated[Any, Only(0)] = None
    function_call: Annotated[Any, Only("none", "auto")] = None
    functions: Annotated[Any, Only([])] = None
    logit_bias: Annotated[Any, Only({})] = None
    logprobs: Annotated[Any, Only(False)] = None
    modalities: Annotated[Any, Only(["text"])] = None
    n: Annotated[Any, Only(1)] = None
    parallel_tool_calls: Annotated[Any, Only(True, False)] = None
    prediction: Annotated[Any, Only()] = None
    presence_penalty: Annotated[Any, Only(0)] = None
    response_format: Annotated[Any, Only({"type": "text"})] = None
    service_tier: Annotated[Any, Only("auto", "default")] = None
    stop: Annotated[Any, Only([])] = None
    store: Annotated[Any, Only(False)] = None
    tool_choice: Annotated[Any, Only("none", "auto")] = None
    tools: Annotated[Any, Only([])] = None
    top_logprobs: Annotated[Any, Only(0)] = None
    metadata: dict[Text, Any] | None = Field(default=None, description="Not used.")
    prompt_cache_key: Text | None = Field(default=None, description="Not used.")
    safety_identifier: Text | None = Field(default=None, description="Not used.")
    user: Text | None = Field(default=None, description="Not used.")


class ChatRequest(Neutral, AnswerLookups):
    """A conversation whose last message is the question. The lookups are set as in `/generate`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [examples.CHAT, examples.CONVERSATION],
            "anyOf": [
                {"properties": {"stream_options": {"type": "null"}}},
                {"properties": {"stream": {"const": True}}, "required": ["stream"]},
            ],
        }
    )

    model: Text = Field(description="The name of the pair; `GET /v1/models` tells it.")
    messages: list[ChatMessage] = Field(
        min_length=1, max_length=2048, description="The last one is the user's question, the others come before it."
    )
    max_completion_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of the answer, at most. The service's own default when left out."
    )
    max_tokens: int | None = Field(default=None, ge=1, description="The older name of the same.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="0, which is what is taken when it is left out: the likeliest token."
    )
    top_p: float | None = Field(
        default=None, gt=0, le=1, description="Sample from the likeliest tokens with this joint mass."
    )
    seed: Seed | None = Field(default=None, description="The same seed samples the same answer.")
    stream: bool | None = Field(default=None, description="Answer in chunks while the answer is written.")
    stream_options: StreamOptions | None = Field(default=None, description="With `stream` only.")

    @property
    def limit(self) -> int | None:
        """Tokens of the answer, under whichever name it was given."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise PydanticCustomError("text", "stream_options is for a stream; set stream to true or leave it out")
        limits = {self.max_tokens, self.max_completion_tokens} - {None}
        if len(limits) > 1:
            raise PydanticCustomError("text", "max_tokens and max_completion_tokens differ; give one of them")
        return self

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        last = next((message for message in reversed(self.messages) if is_turn(message)), None)
        if last is None or last.role != "user" or not last.content.strip():
            rule = "messages: the last one is the question; let it be of role user and not empty"
            raise PydanticCustomError("text", rule)
        return self


def is_turn(message: ChatMessage) -> bool:
    """Whether it was said in the conversation, and not to the model about it."""
    return message.role in {"user", "assistant"}
