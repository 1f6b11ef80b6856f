"""The reference of the HTTP API as a document, made of the OpenAPI document: `make reference` writes docs/api.md."""

import sys
from pathlib import Path

from service.api_markdown import api_markdown
from service.app import create_app
from service.settings import ServeSettings

_HEAD = """\
# HTTP API

<!-- Made by `make reference` from the models of the service; a test compares the two. -->

What a running service answers. It describes itself in the same words under `/openapi.json`, and `/docs` shows that in a
browser. [Serve](serve.md) says how to use it, [OpenAI's API](openai.md) and [the Python client](client.md) are pages of
their own.
"""


def reference() -> str:
    """The reference of this version, as docs/api.md."""
    nowhere = ServeSettings(pair=Path("pair"), index=(Path("index"),))  # nothing is loaded: only what is told is wanted
    return f"{_HEAD}\n{api_markdown(create_app(nowhere).openapi())}"


if __name__ == "__main__":
    sys.stdout.write(reference())
