"""What can go wrong between a client and a service, as exceptions."""

from pydantic import ValidationError

from semiparametric.errors import BusyError, CosupError
from service.schemas import Problem, ProblemPlace

_NO_PROBLEM_SHOWN = 200  # characters of an answer that is no problem document, as a proxy may give


class ServiceError(CosupError):
    """A request to a service failed. Its subclasses say what would help.

    Attributes:
        status: The HTTP status; None where no answer came.
        type: The name of the kind of problem; stable.
        request_id: The id to look for in the service's log.
        errors: The wrong places of the request, with what would be right.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        remedy: str | None = None,
        status: int | None = None,
        type: str = "about:blank",  # noqa: A002 - the word of RFC 9457
        request_id: str = "",
        errors: list[ProblemPlace] | None = None,
    ) -> None:
        super().__init__(message, where=where, remedy=remedy)
        self.status = status
        self.type = type
        self.request_id = request_id
        self.errors = errors or []


class UnreachableError(ServiceError):
    """No service answers there, or the connection broke: is it running, and is the address right?"""


class RequestError(ServiceError):
    """The request is wrong; the same one will never succeed."""


class KeyRefusedError(ServiceError):
    """A key is missing, is no good, or may not do this."""


class NotFoundError(ServiceError):
    """There is no such index, or no such path."""


class BusyServiceError(ServiceError, BusyError):
    """The service, or the key's share of it, is full; try again after `retry_after_s` seconds."""

    retry_after_s: float = 1.0


class FailedError(ServiceError):
    """The service failed; its log says why, under the request id."""


def error_of(status: int, content: bytes, retry_after: str | None = None) -> ServiceError:
    """The exception for an answer that is no success."""
    try:
        problem = Problem.model_validate_json(content, extra="ignore")
    except ValidationError:
        shown = content[:_NO_PROBLEM_SHOWN].decode("utf-8", "replace")
        problem = Problem(
            type="about:blank", title="", status=status, detail=f"HTTP status {status}: {shown}", request_id=""
        )
    return error_of_problem(problem.model_copy(update={"status": status}), retry_after)


def error_of_problem(problem: Problem, retry_after: str | None = None) -> ServiceError:
    """The exception for a problem."""
    error = _class_of(problem.status)(
        problem.detail,
        status=problem.status,
        type=problem.type,
        request_id=problem.request_id,
        errors=problem.errors,
    )
    if isinstance(error, BusyServiceError) and retry_after is not None and retry_after.isdecimal():
        error.retry_after_s = float(retry_after)
    return error


def _class_of(status: int) -> type[ServiceError]:
    classes = {401: KeyRefusedError, 403: KeyRefusedError, 404: NotFoundError, 429: BusyServiceError}
    if status in classes:
        return classes[status]
    if status == 503:
        return BusyServiceError
    return FailedError if status >= 500 else RequestError
