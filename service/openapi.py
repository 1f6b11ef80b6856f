"""The OpenAPI document where FastAPI alone would not tell the truth: problems, limits, and the need of a key."""

from collections.abc import Iterator
from typing import Any

from service.keys.guard import is_open
from service.openai_api.errors import PREFIX
from service.routes.context import problems
from service.schemas import Problem
from service.settings import ServeSettings

_KEY = {"type": "http", "scheme": "bearer", "description": "A key that `cosup keys create` has made."}

_OPENAI_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorReply"}}}


_TOKEN_LIMITS = {"GenerateRequest": ["max_new_tokens"], "ChatRequest": ["max_completion_tokens", "max_tokens"]}


def mend(document: dict[str, Any], settings: ServeSettings) -> None:
    """Put right what FastAPI has written. Doing so twice changes nothing more.

    Args:
        document: The OpenAPI document.
        settings: Of the service that it describes.
    """
    needs_key = settings.keys is not None
    schemas = document["components"]["schemas"]
    for model, fields in _TOKEN_LIMITS.items():
        for field in fields:
            [number] = [one for one in schemas[model]["properties"][field]["anyOf"] if one["type"] == "integer"]
            number["maximum"] = settings.max_new_tokens_limit
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= {**problem.pop("$defs"), "Problem": problem}
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    for path, operation in _operations(document):
        responses = operation["responses"]
        if "application/json" in responses.get("422", {}).get("content", {}):
            del responses["422"]  # of a name in the path, which any text is
        if needs_key and not is_open(path):
            operation["security"] = [{"key": []}]
            refused = problems(401, 429)
            if path.startswith(PREFIX):
                refused = {status: response | {"content": _OPENAI_ERROR} for status, response in refused.items()}
            responses |= {str(status): response for status, response in refused.items()}
    if needs_key:
        document["components"]["securitySchemes"] = {"key": _KEY}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path, operation
