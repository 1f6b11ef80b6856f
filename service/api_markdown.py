"""An OpenAPI document as Markdown to read: each operation with its statuses and examples, then the types."""

import json
from collections.abc import Iterator, Mapping
from typing import Any


def api_markdown(document: Mapping[str, Any]) -> str:
    """What an OpenAPI document tells, as Markdown under the headings Routes and Types."""
    schemas = document["components"]["schemas"]
    parts = ["# Routes\n"]
    for path, item in document["paths"].items():
        parts += [_operation(method, path, operation, schemas) for method, operation in item.items()]
    parts.append("# Types\n")
    parts += [_model(name, schemas[name]) for name in sorted(schemas)]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> str:
    lines = [f"## {method.upper()} {path}", "", operation["description"], ""]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    if body:
        lines += [f"Body: {_type(body)}, for example", "", *_examples(body, schemas)]
    lines += ["| status | meaning | body |", "|---|---|---|"]
    for status, response in operation["responses"].items():
        contents = response.get("content", {})
        told = [_type(content["schema"]) if "schema" in content else kind for kind, content in contents.items()]
        meaning = "" if response["description"] == "Successful Response" else response["description"]
        lines.append(f"| {status} | {_cell(meaning)} | {' or '.join(dict.fromkeys(told))} |")
    examples: list[str] = []
    for content in operation["responses"]["200"].get("content", {}).values():
        examples += _examples(content, schemas)
        if "example" in content:
            examples += ["```text", content["example"].rstrip("\n"), "```", ""]
    return "\n".join([*lines, "", *(["The answer, for example", "", *examples] if examples else [])])


def _model(name: str, schema: Mapping[str, Any]) -> str:
    lines = [
        f"## {name}",
        "",
        schema.get("description", ""),
        "",
        "| field | type | default | meaning |",
        "|---|---|---|---|",
    ]
    required = set(schema.get("required", ()))
    for field, said in schema.get("properties", {}).items():
        default = "required" if field in required else _default(said)
        lines.append(f"| `{field}` | {_type(said)} | {default} | {_cell(said.get('description', ''))} |")
    return "\n".join([*lines, ""])


def _default(schema: Mapping[str, Any]) -> str:
    return "" if schema.get("default") is None else f"`{json.dumps(schema['default'])}`"


def _type(schema: Mapping[str, Any]) -> str:
    """A type in a few words, with its bounds."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return ", ".join(f"`{json.dumps(one)}`" for one in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}{_bounds(schema)}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return f"{schema.get('type', 'any')}{_bounds(schema)}"


_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "minItems": "at least",
    "maxItems": "at most",
}


def _bounds(schema: Mapping[str, Any]) -> str:
    said = [f"{words} {_number(schema[name])}" for name, words in _BOUNDS.items() if name in schema]
    return f" ({', '.join(said)})" if said else ""


def _number(value: float) -> str:
    return str(int(value) if value == int(value) else value)


def _examples(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    """The examples of the models that a schema names, as lines."""
    found = [example for name in _named(schema) for example in schemas[name].get("examples", ())]
    return [line for one in found for line in ("```json", json.dumps(one, indent=2, ensure_ascii=False), "```", "")]


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _named(value: Any) -> Iterator[str]:
    """The models that a piece of the document refers to."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rsplit("/", 1)[1]
        for inner in value.values():
            yield from _named(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _named(inner)
