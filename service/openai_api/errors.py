"""Refusals of the routes under `/v1/` in OpenAI's form of errors, which its clients turn into their exceptions."""

import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.openai_api import examples
from service.problems import INVALID_REQUEST, MEDIA_TYPE
from service.schemas import Problem

PREFIX = "/v1/"

_INVALID = 400  # OpenAI's status for what we answer with 422


class ErrorDetails(BaseModel):
    """What went wrong."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    message: str = Field(description="What was wrong, and what would be right.")
    type: str = Field(description="The kind of error.")
    param: str | None = Field(description="The parameter that is wrong, where one is.")
    code: str | None = Field(description="The kind of problem, finer than the type.")


class ErrorReply(BaseModel):
    """An error in OpenAI's shape."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.ERROR]})

    error: ErrorDetails


def error_reply(problem: Problem) -> tuple[int, ErrorReply]:
    """Status and body for a problem."""
    status = _INVALID if problem.status == INVALID_REQUEST.status else problem.status
    kind = problem.title if problem.type == "about:blank" else problem.type.rsplit(":", 1)[-1]
    details = ErrorDetails(
        message=problem.detail,
        type=_TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
        param=_param(problem.errors[0].pointer) if problem.errors else None,
        code=re.sub(r"\W+", "_", kind.lower()),
    )
    return status, ErrorReply(error=details)


_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route under `/v1/`, for its OpenAPI description."""
    return {status: {"description": _MEANINGS[status], "model": ErrorReply} for status in statuses}


_MEANINGS = {
    400: "The body cannot be read, or a parameter breaks its rule or is not supported.",
    404: "There is no such model or index, or the route is not switched on.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    500: "The service failed; its log says why, under the request id.",
    503: "Not loaded yet, or all places are taken: try again after the seconds of Retry-After.",
    504: "The answer took longer than the service allows.",
}


class OpenAIErrors:
    """Rewrites problem documents under `/v1/`, whoever inside of it has written them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's interface of an app."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            send = _Rewriting(send)
        await self.app(scope, receive, send)


class _Rewriting:
    """A `send` that holds a problem document back until it is whole and sends it in OpenAI's form."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if (
            message["type"] == "http.response.start"
            and Headers(raw=message["headers"]).get("content-type") == MEDIA_TYPE
        ):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._send_error(self._start)

    async def _send_error(self, start: Message) -> None:
        status, reply = error_reply(Problem.model_validate_json(self._body))
        body = reply.model_dump_json().encode()
        start["status"] = status
        headers = MutableHeaders(scope=start)
        headers["content-type"] = "application/json"
        headers["content-length"] = str(len(body))
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _param(pointer: str) -> str | None:
    """`#/messages/0/content` as OpenAI writes it, `messages[0].content`."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    joined = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)
    return joined.removeprefix(".") or None
