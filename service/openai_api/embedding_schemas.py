"""What goes over `POST /v1/embeddings`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from service.fields import RequestBody, Text
from service.openai_api import examples

MAX_INPUTS = 2048
"""OpenAI's own bound."""

_RESPONSE = ConfigDict(extra="forbid", frozen=True)


def _listed(value: Any) -> Any:
    """One text is a list of one. Ids of tokens are refused: they are another model's."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and any(isinstance(one, int | list) for one in value):
        rule = (
            "it holds ids of tokens; send text, which is tokenized here (LangChain: check_embedding_ctx_length=False)"
        )
        raise PydanticCustomError("text", rule)
    return value


_TEXTS: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MAX_INPUTS}
Inputs = Annotated[
    list[Text],
    Field(min_length=1, max_length=MAX_INPUTS),
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, _TEXTS]}),
]


class EmbeddingsRequest(RequestBody):
    """Passages to embed."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.EMBED]})

    model: Text = Field(description="The name of the pair; `GET /v1/models` tells it.")
    input: Inputs = Field(description="The text of a passage, or of several. What is too long is cut, as in an index.")
    titles: list[Text] | None = Field(
        default=None, description="The titles of those passages, as many; without them they are empty."
    )
    encoding_format: Literal["float", "base64"] = Field(
        default="float", description="`float`: numbers; `base64`: float32, little-endian, as base64."
    )
    dimensions: int | None = Field(
        default=None, ge=1, description="Leading dimensions to keep, of those that the pair was trained to serve with."
    )
    user: Text | None = Field(default=None, description="Not used.")

    @model_validator(mode="after")
    def _a_title_each(self) -> Self:
        if self.titles is not None and len(self.titles) != len(self.input):
            rule = f"titles: there are {len(self.titles)} for {len(self.input)} texts; give each its own, or none"
            raise PydanticCustomError("text", rule)
        return self


class Embedding(BaseModel):
    """One sequence embedding."""

    model_config = _RESPONSE

    object: Literal["embedding"]
    index: int = Field(description="Its place in the input.")
    embedding: list[float] | str = Field(description="The numbers, or base64 of them.")


class EmbeddingsUsage(BaseModel):
    """Tokens that Embseq read."""

    model_config = _RESPONSE

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """Sequence embeddings in the order of the input, as an index of this pair holds them."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.EMBEDDINGS]})

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingsUsage
