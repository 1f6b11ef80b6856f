"""The examples of the OpenAPI document for OpenAI's shapes."""

from pydantic import JsonValue

from service import examples

_ID = "chatcmpl-2f1c7f0de6a44f6e9d1b7b0a4c5e8f32"
_CREATED = 1_793_000_000

CHAT: dict[str, JsonValue] = {
    "model": "nano",
    "messages": [{"role": "user", "content": "What does json.dumps do?"}],
}

CONVERSATION: dict[str, JsonValue] = {
    "model": "nano",
    "messages": [
        {"role": "user", "content": "What does json.dumps do?"},
        {"role": "assistant", "content": "It serializes obj to a JSON formatted str."},
        {"role": "user", "content": "And json.loads?"},
    ],
    "retrieval": "first",
    "max_completion_tokens": 128,
}

_ANNOTATION: JsonValue = {
    "type": "url_citation",
    "url_citation": {"start_index": 3, "end_index": 42, "title": "json.dumps(obj, ...)", "url": ""},
    "passage_id": "python:json.dumps",
    "source": "Lib/json/__init__.py:183",
    "score": 0.83,
    "probability": 0.61,
}

COMPLETION: dict[str, JsonValue] = {
    "id": _ID,
    "object": "chat.completion",
    "created": _CREATED,
    "model": "nano",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "It serializes obj to a JSON formatted str.",
                "refusal": None,
                "annotations": [_ANNOTATION],
            },
            "logprobs": None,
            "finish_reason": "stop",
            "no_evidence": False,
        }
    ],
    "usage": {
        "prompt_tokens": 120,
        "completion_tokens": 14,
        "total_tokens": 134,
        "passage_tokens": 96,
        "retrievals": 1,
    },
    "passages": [examples.PASSAGE],
    "index": examples.INDEX_INFO,
    "dropped_turns": 0,
}

_CHUNK_START = f'{{"id":"{_ID}","object":"chat.completion.chunk","created":{_CREATED},"model":"nano","choices":'
STREAM = (
    f'data: {_CHUNK_START}[{{"index":0,"delta":{{"role":"assistant","content":""}}}}]}}\n\n'
    f'data: {_CHUNK_START}[{{"index":0,"delta":{{"content":"It serializes"}}}}]}}\n\n'
    "data: [DONE]\n\n"
)

MODEL: dict[str, JsonValue] = {"id": "nano", "object": "model", "created": _CREATED, "owned_by": "cosup"}

MODELS: dict[str, JsonValue] = {"object": "list", "data": [MODEL]}

EMBED: dict[str, JsonValue] = {
    "model": "nano",
    "input": ["Serialize obj to a JSON formatted str."],
    "titles": ["json.dumps(obj, ...)"],
    "encoding_format": "float",
}

EMBEDDINGS: dict[str, JsonValue] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.6, 0.0, -0.8]}],
    "model": "nano",
    "usage": {"prompt_tokens": 16, "total_tokens": 16},
}

ERROR: dict[str, JsonValue] = {
    "error": {
        "message": "n: this service does not support it, only 1; leave it out",
        "type": "invalid_request_error",
        "param": "n",
        "code": "invalid_request",
    }
}
