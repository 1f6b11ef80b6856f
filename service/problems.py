"""Errors as problem documents (RFC 9457): one table from error classes to status codes."""

import http
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import JSONResponse

from semiparametric.errors import BusyError, CosupError, DeadlineError, InputError, PairError, StoreError
from service.schemas import Problem, ProblemPlace

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"

_PREFIX = "urn:cosup:problem:"


@dataclass(frozen=True)
class Kind:
    """A kind of problem. `public` says whether the error's own message is meant for clients."""

    status: int
    type: str
    title: str
    public: bool = True


KINDS: Mapping[type[Exception], Kind] = {
    InputError: Kind(422, _PREFIX + "invalid-request", "The request breaks a rule"),
    BusyError: Kind(503, _PREFIX + "busy", "All places are taken"),
    DeadlineError: Kind(504, _PREFIX + "too-late", "The request took too long"),
    PairError: Kind(500, _PREFIX + "pair", "The service cannot use its pair", public=False),
    StoreError: Kind(500, _PREFIX + "store", "The service cannot use its index", public=False),
    Exception: Kind(500, _PREFIX + "internal", "The service failed", public=False),
}
INVALID_REQUEST = KINDS[InputError]
NOT_FOUND = Kind(404, _PREFIX + "not-found", "There is no such thing here")
NO_KEY = Kind(401, _PREFIX + "no-key", "A key of this service is needed")
ENDING = Kind(503, _PREFIX + "ending", "The service is about to end")
TOO_MANY = Kind(429, _PREFIX + "too-many-requests", "This key asks for too much")
SLOW_BODY = Kind(408, _PREFIX + "slow-body", "The request's body did not arrive in time")
WRONG_HOST = Kind(421, _PREFIX + "wrong-host", "The request is addressed to another host")
TOO_LARGE = Kind(413, _PREFIX + "too-large", "The request is too large")
NOT_JSON = Kind(415, _PREFIX + "not-json", "The request is not JSON")


def kind_of_status(status: int) -> Kind:
    """The kind of a refusal that says no more than its HTTP status."""
    return Kind(status, "about:blank", http.HTTPStatus(status).phrase)


def problem(kind: Kind, detail: str, request_id: str, errors: Sequence[ProblemPlace] = ()) -> Problem:
    """A problem document of this kind."""
    return Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        request_id=request_id,
        errors=list(errors),
    )


def problem_of(error: Exception, request_id: str, fields: Collection[str] = ()) -> Problem:
    """The problem document of an error by the table.

    An error that is not public is logged whole and not shown. `fields` are those of the request's body: an error whose
    `where` is one of them gets a pointer to it.
    """
    kind = next(KINDS[base] for base in type(error).__mro__ if base in KINDS)
    if not kind.public:
        logger.error("request failed", exc_info=error)
        return problem(kind, "The cause stands in the service's log under this request id.", request_id)
    return problem(kind, str(error), request_id, _places(error, fields))


def problem_response(document: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The document as an HTTP response."""
    content = document.model_dump(exclude_defaults=True)
    return JSONResponse(content, document.status, dict(headers or {}), media_type=MEDIA_TYPE)


def _places(error: Exception, fields: Collection[str]) -> list[ProblemPlace]:
    if not isinstance(error, CosupError) or error.where is None or error.where not in fields:
        return []
    text = f"{error.message}. {error.remedy}" if error.remedy else error.message
    return [ProblemPlace(pointer=f"#/{error.where}", detail=text)]
