"""What the routes share: resources, settings, the indexes that a request may name, and how problems are documented."""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Any, cast

from fastapi import Depends, HTTPException, Request

from service.index_version import IndexVersion
from service.indexes import ServedIndex
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


_SHOWN_CHARACTERS = 80


class Readable:
    """The indexes that the asking client may read.

    Args:
        indexes: They, the default one first.
        held: What stays open until the response is sent.
    """

    def __init__(self, indexes: Sequence[ServedIndex], held: ExitStack) -> None:
        self.indexes = indexes
        self._held = held

    @property
    def default(self) -> ServedIndex | None:
        """The one that is meant where a request names none."""
        return next(iter(self.indexes), None)

    def named(self, name: str | None) -> ServedIndex:
        """The index of a name, the default one if None; 404 where there is none."""
        found = self.default if name is None else next((index for index in self.indexes if index.name == name), None)
        if found is None:
            known = ", ".join(repr(index.name) for index in self.indexes) or "none"
            shown = "none" if name is None else repr(name[:_SHOWN_CHARACTERS])
            raise HTTPException(404, f"there is no index {shown}; served here: {known}")
        return found

    def version_of(self, name: str | None) -> IndexVersion:
        """The present version of that index. It stays open until the response is sent."""
        return self._held.enter_context(self.named(name).current.used())


async def readable(resources: Annotated[Resources, Depends(loaded)]) -> AsyncIterator[Readable]:
    """What the asking client may read."""
    with ExitStack() as held:
        yield Readable(list(resources.indexes.values()), held)


Loaded = Annotated[Resources, Depends(loaded)]
Configured = Annotated[ServeSettings, Depends(configured)]
ReadableIndexes = Annotated[Readable, Depends(readable)]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI description."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}


_MEANINGS = {
    400: "The body cannot be read.",
    404: "There is no such index.",
    409: "What is published cannot be served; the version served before still is.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A field breaks its rule; `errors` says which and how.",
    500: "The service failed; its log says why, under the request id.",
    503: "Not loaded yet, or all places are taken: try again after the seconds of Retry-After.",
}
