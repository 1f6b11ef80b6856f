"""What a schema cannot say of a valid request, put into the requests that schemathesis makes.

Which passages, metadata fields, models and indexes there are, that the last message of a chat is the user's, and that
there are as many titles as texts: a request that is valid by the schema may break these rules and is refused, rightly.
So that requests reach what lies behind the rules, and the check that valid requests are accepted can stay on, a value
of the right type is replaced by one that the rule allows. Values of wrong types stay, and every other index and model
name does: those must be refused by the documented status.
"""

from typing import Any

import schemathesis

from tests.small_index import PASSAGES

MODEL = "tiny"
"""The name of the pair that is served."""

INDEX = "small"
"""The name of the index that is served."""

_IDS = [passage.id for passage in PASSAGES]
_FIELD = "place"


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: "schemathesis.Case[Any]", _kwargs: dict[str, Any]) -> None:
    """Schemathesis calls this before each request."""
    if isinstance(case.path_parameters, dict) and _is_chosen(case.path_parameters.get("name")):
        case.path_parameters["name"] = MODEL if "models" in case.path else INDEX
    if isinstance(case.body, dict):
        case.body = _allowed(case.body)


def _allowed(body: dict[str, Any]) -> dict[str, Any]:
    body = dict(body)
    for field, value in (("index", INDEX), ("model", MODEL)):
        if _is_chosen(body.get(field)):
            body[field] = value
    if _are_texts(body.get("candidates")):
        body["candidates"] = [_IDS[place % len(_IDS)] for place in range(len(body["candidates"]))]
    if isinstance(body.get("filter"), dict) and body["filter"]:
        body["filter"] = {_FIELD: [*body["filter"].values()][-1]}
    if _are_texts(body.get("titles")):
        count = len(body["input"]) if isinstance(body.get("input"), list) else 1
        body["titles"] = ["A title"] * count
    if isinstance(body.get("dimensions"), int | float) and body["dimensions"] >= 1:
        del body["dimensions"]
    if "messages" in body:
        _end_with_a_question(body)
    return body


def _end_with_a_question(body: dict[str, Any]) -> None:
    messages = body["messages"]
    if isinstance(messages, list) and messages and isinstance(messages[-1], dict):
        last = messages[-1]
        if last.get("role") in ("system", "developer", "assistant"):
            last = last | {"role": "user"}
        if isinstance(last.get("content"), str) or _are_parts(last.get("content")):
            last = last | {"content": "When does the tide turn?"}
        body["messages"] = [*messages[:-1], last]
    if isinstance(body.get("max_tokens"), int) and isinstance(body.get("max_completion_tokens"), int):
        body["max_tokens"] = body["max_completion_tokens"]


def _is_chosen(name: object) -> bool:
    return isinstance(name, str) and len(name) % 2 == 0


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_parts(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and one.get("type") == "text" and isinstance(one.get("text"), str) for one in value
    )
