"""What the routes share: resources, settings, the index that a request names, and how problems are documented."""

from typing import Annotated, Any, cast

from fastapi import Depends, HTTPException, Request

from service.problems import MEDIA_TYPE
from service.resources import Resources
from service.settings import ServeSettings


def loaded(request: Request) -> Resources:
    """The loaded pair and index; 503 where they are not there."""
    resources = cast(Resources | None, request.app.state.resources)
    if resources is None:
        raise HTTPException(503, "the pair and the index are not loaded yet; ask GET /ready until it answers 200")
    return resources


def configured(request: Request) -> ServeSettings:
    """The settings of the app."""
    return cast(ServeSettings, request.app.state.settings)


Loaded = Annotated[Resources, Depends(loaded)]
Configured = Annotated[ServeSettings, Depends(configured)]


def refuse_unknown_index(name: str | None, resources: Resources) -> None:
    """404 for the name of an index that is not served."""
    served = resources.store.name
    if name is not None and name != served:
        raise HTTPException(404, f"there is no index {name!r}; served here: {served!r}")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI description."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}


_MEANINGS = {
    400: "The body cannot be read.",
    404: "There is no such index.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A field breaks its rule; `errors` says which and how.",
    500: "The service failed; its log says why, under the request id.",
    503: "Not loaded yet, or all places are taken: try again after the seconds of Retry-After.",
}
