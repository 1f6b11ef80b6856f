"""Types of the fields of requests: text that every tokenizer and store takes, and what a filter compares with."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError


def _whole_unicode(text: str) -> str:
    """Refuse half a surrogate pair, which JSON can spell but no encoder, tokenizer or store takes."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        rule = "it holds half of a surrogate pair, which is no character; send whole Unicode text"
        raise PydanticCustomError("text", rule) from error
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("text", "it is empty or white space only; write the question as text")
    return text


def _scalar(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """One error for the whole union; pydantic alone reports one for each of its members."""
    try:
        return handler(value)
    except ValidationError as error:
        rule = "a filter value is text, a number, true or false"
        raise PydanticCustomError("scalar", rule) from error


Text = Annotated[str, AfterValidator(_whole_unicode)]
Question = Annotated[Text, AfterValidator(_not_blank), Field(json_schema_extra={"pattern": r"\S"})]
FilterValue = Annotated[Text | int | float | bool, WrapValidator(_scalar)]

# Whole numbers up to here are the same ones for every reader of JSON (RFC 7493, section 2.2).
_MAX_SEED = 2**53 - 1
Seed = Annotated[int, Field(ge=0, le=_MAX_SEED)]

REQUEST = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)
"""How the body of a request is read: nothing unknown, nothing turned into something else."""


class RequestBody(BaseModel):
    """The body of a request. A whole number may be written with a point: JSON has one kind of number, 5.0 is 5."""

    model_config = REQUEST

    @model_validator(mode="before")
    @classmethod
    def _whole_numbers(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: int(one) if isinstance(one, float) and one.is_integer() else one for name, one in data.items()}
