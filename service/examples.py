"""The examples of the OpenAPI document."""

from pydantic import JsonValue

QUESTION: dict[str, JsonValue] = {"question": "What does json.dumps do?", "max_new_tokens": 128}

QUESTIONS: dict[str, JsonValue] = {
    "questions": ["What does json.dumps do?", "What does textwrap.dedent do?"],
    "max_new_tokens": 128,
}

QUERY: dict[str, JsonValue] = {"query": "serialise an object as JSON", "top_k": 1}

PASSAGE: JsonValue = {
    "id": "python:json.dumps",
    "title": "json.dumps(obj, ...)",
    "text": "Serialize obj to a JSON formatted str.",
    "source": "Lib/json/__init__.py:183",
    "metadata": {"module": "json", "kind": "function"},
    "score": 0.83,
}
INDEX_INFO: JsonValue = {"name": "python", "version": 1}

INDEX: dict[str, JsonValue] = {
    "name": "python",
    "version": 1,
    "passages": 7258,
    "dimension": 256,
    "index_type": "flat",
    "store": "faiss",
    "metadata_fields": ["kind", "module"],
    "built": "2026-11-02T02:15:09Z",
    "refused": None,
}

INDEXES: dict[str, JsonValue] = {"default": "python", "indexes": [INDEX]}

FOUND: dict[str, JsonValue] = {"passages": [PASSAGE], "index": INDEX_INFO}

ANSWER: dict[str, JsonValue] = {
    "answer": "It serializes obj to a JSON formatted str.",
    "citations": [{"start": 3, "end": 42, "passage_id": "python:json.dumps", "score": 0.83, "probability": 0.61}],
    "passages": [PASSAGE],
    "finish_reason": "stop",
    "usage": {
        "prompt_tokens": 24,
        "passage_tokens": 96,
        "completion_tokens": 14,
        "retrievals": 1,
        "forwarded_tokens": 133,
    },
    "timings": {"queue": 0.0, "prefill": 0.031, "decode": 0.204, "lookup": 0.001, "total": 0.237},
    "index": INDEX_INFO,
}

MAP: dict[str, JsonValue] = {
    "index": INDEX_INFO,
    "count": 7258,
    "share": 0.21,
    "passages": [
        {"id": "python:json.dumps", "title": "json.dumps(obj, ...)", "point": {"x": 0.31, "y": -0.12}},
        {"id": "python:os.getcwd", "title": "os.getcwd()", "point": {"x": -0.24, "y": 0.4}},
    ],
}

PROBLEM: dict[str, JsonValue] = {
    "type": "urn:cosup:problem:invalid-request",
    "title": "The request breaks a rule",
    "status": 422,
    "detail": "top_k: got 0; it should be greater than or equal to 1",
    "request_id": "2f1c7f0de6a44f6e9d1b7b0a4c5e8f32",
    "errors": [{"pointer": "#/top_k", "detail": "got 0; it should be greater than or equal to 1"}],
}

_TOO_LONG: JsonValue = {
    "type": "urn:cosup:problem:invalid-request",
    "title": "The request breaks a rule",
    "status": 422,
    "detail": "question: has 2048 tokens with its prompt; the limit is 1021. Shorten it",
    "request_id": "2f1c7f0de6a44f6e9d1b7b0a4c5e8f32",
    "errors": [{"pointer": "#/question", "detail": "has 2048 tokens with its prompt; the limit is 1021. Shorten it"}],
}

ANSWERS: dict[str, JsonValue] = {"answers": [ANSWER, _TOO_LONG]}
