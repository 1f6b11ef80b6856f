"""FastAPI's own refusals and our errors become problem documents: the exception handlers of the app."""

import difflib
import json
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from semiparametric.errors import BusyError, CosupError
from service.disconnects import ClientGone
from service.problems import INVALID_REQUEST, NOT_JSON, kind_of_status, problem, problem_of, problem_response
from service.schemas import ProblemPlace

CLIENT_CLOSED_REQUEST = 499  # nobody receives it; it stands in the access log

_SHOWN_PLACES = 20
_SHOWN_CHARACTERS = 80


def add_handlers(app: FastAPI, *, retry_after_s: int) -> None:
    """Answer every refusal and every error of ours with a problem document."""

    async def ours(request: Request, error: CosupError) -> Response:
        headers = {"Retry-After": str(retry_after_s)} if isinstance(error, BusyError) else None
        document = problem_of(error, request_id_of(request), _known_fields(request))
        return problem_response(document, headers)

    app.exception_handler(CosupError)(ours)
    app.exception_handler(RequestValidationError)(_refused_by_schema)
    app.exception_handler(HTTPException)(_refused_by_status)
    app.exception_handler(ClientGone)(_nobody_listens)


def request_id_of(request: Request) -> str:
    """The id that the outermost middleware gave to this request."""
    return str(request.scope["state"]["request_id"])


async def unexpected(request: Request, error: Exception) -> Response:
    """What nothing else handles: logged whole, answered without internals."""
    return problem_response(problem_of(error, request_id_of(request)))


async def _nobody_listens(_request: Request, _error: ClientGone) -> Response:
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _refused_by_status(request: Request, error: HTTPException) -> Response:
    """Unknown paths, wrong methods, bodies that are not UTF-8, and what a route refuses by status."""
    document = problem(kind_of_status(error.status_code), error.detail, request_id_of(request))
    return problem_response(document, error.headers)


async def _refused_by_schema(request: Request, error: RequestValidationError) -> Response:
    if isinstance(error.body, bytes):  # FastAPI parses a body only where the content type says JSON
        given = request.headers.get("content-type", "none")
        detail = f"the content type is {_shown(given)}; send a JSON object as application/json"
        return problem_response(problem(NOT_JSON, detail, request_id_of(request)))
    places = [_place(item, _known_fields(request)) for item in error.errors()[:_SHOWN_PLACES]]
    detail = "; ".join(f"{place.pointer[2:] or 'the body'}: {place.detail}" for place in places)
    return problem_response(problem(INVALID_REQUEST, detail, request_id_of(request), places))


def _place(item: dict[str, Any], known: Iterable[str]) -> ProblemPlace:
    kind, location = item["type"], item["loc"][1:]
    if kind == "json_invalid":
        detail = f"it is not JSON: {item['ctx']['error']} at character {item['loc'][1]}"
        return ProblemPlace(pointer="#", detail=detail)
    if kind == "missing":
        detail = "it is missing" if location else "it is empty; send a JSON object"
    elif kind == "extra_forbidden":
        detail = _unknown(str(location[-1]), known) if len(location) == 1 else "no such field"
    elif kind == "text":
        detail = item["msg"]
    else:
        rule = item["msg"].replace("Input should", "it should")
        detail = f"got {_shown(item['input'])}; {rule}"
    return ProblemPlace(pointer=_pointer(location), detail=detail)


def _unknown(name: str, known: Iterable[str]) -> str:
    known = sorted(known)
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(known)}"
    return f"no such field; {hint}"


def _known_fields(request: Request) -> list[str]:
    """The fields of the body model of the route that was asked."""
    body = getattr(request.scope.get("route"), "body_field", None)
    model = body.field_info.annotation if body is not None else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _pointer(location: Iterable[object]) -> str:
    """A JSON pointer (RFC 6901) as a URI fragment."""
    parts = (_encodable(str(part)[:_SHOWN_CHARACTERS]).replace("~", "~0").replace("/", "~1") for part in location)
    return "#" + "".join(f"/{part}" for part in parts)


def _shown(value: object) -> str:
    """The start of a value as ASCII JSON, so that half a surrogate pair or a megabyte does no harm in the answer."""
    text = json.dumps(value, default=repr)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
