"""Parameters of OpenAI's that are taken only where they ask for what happens anyway."""

import json
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


class Only:
    """Marks a field that takes these values and null: `Annotated[Any, Only(0)]`.

    Any other value would change the answer in a way that this service does not know, so it is refused.
    """

    def __init__(self, *allowed: JsonValue) -> None:
        self.allowed = allowed

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Checks the value."""
        return core_schema.no_info_before_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Lists the values."""
        return {"enum": [*self.allowed, None]}

    def _check(self, value: Any) -> Any:
        if value is None or any(_same(value, one) for one in self.allowed):
            return value
        known = " or ".join(json.dumps(one) for one in self.allowed)
        raise PydanticCustomError("text", f"this service does not support it, only {known}; leave it out")


def _same(value: Any, allowed: JsonValue) -> bool:
    """JSON's equality: true is not 1."""
    return isinstance(value, bool) == isinstance(allowed, bool) and bool(value == allowed)
