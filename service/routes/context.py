"""What the routes share: resources, settings, the indexes that a request may name, and how problems are documented."""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from typing import Annotated, Any, cast

from fastapi import Depends, HTTPException, Request

from service.index_version import IndexVersion
from service.indexes import ServedIndex
from service.keys.key import Access
from service.maps import Maps
from service.problems import MEDIA_TYPE
from service.resources import Resources
from service.settings import ServeSettings


async def loaded(request: Request) -> Resources:
    """The loaded pair and index; 503 where they are not there."""
    resources = cast(Resources | None, request.app.state.resources)
    if resources is None:
        raise HTTPException(503, "the pair and the index are not loaded yet; ask GET /ready until it answers 200")
    return resources


async def configured(request: Request) -> ServeSettings:
    """The settings of the app."""
    return cast(ServeSettings, request.app.state.settings)


async def drawn(request: Request) -> Maps:
    """The maps of the app."""
    return cast(Maps, request.app.state.maps)


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
            wanted = "" if name is None else f" {name[:_SHOWN_CHARACTERS]!r}"
            raise HTTPException(404, f"there is no index{wanted}; served here: {known}")
        return found

    def version_of(self, name: str | None) -> IndexVersion:
        """The present version of that index. It stays open until the response is sent."""
        return self._held.enter_context(self.named(name).current.used())


async def readable(request: Request, resources: Annotated[Resources, Depends(loaded)]) -> AsyncIterator[Readable]:
    """What the asking client may read. An index beyond that does not exist for it, whatever it asks."""
    access: Access = request.state.access
    with ExitStack() as held:
        yield Readable([index for index in resources.indexes.values() if access.may_read(index.name)], held)


async def admin(request: Request) -> None:
    """403 for a key that may not do what changes or tells of the service as a whole."""
    if not request.state.access.is_admin:
        raise HTTPException(403, "this needs a key that was made with --admin")


Loaded = Annotated[Resources, Depends(loaded)]
Configured = Annotated[ServeSettings, Depends(configured)]
ReadableIndexes = Annotated[Readable, Depends(readable)]
Drawn = Annotated[Maps, Depends(drawn)]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a route, for its OpenAPI description."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _MEANINGS[status], "content": content} for status in statuses}


_MEANINGS = {
    400: "The body cannot be read.",
    401: "A key of this service is needed.",
    403: "The key may not do this.",
    404: "There is no such index.",
    409: "What is published cannot be served; the version served before still is.",
    408: "The body did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    422: "A field breaks its rule; `errors` says which and how.",
    429: "The key asks for too much: try again after the seconds of Retry-After.",
    500: "The service failed; its log says why, under the request id.",
    503: "Not loaded yet, or all places are taken: try again after the seconds of Retry-After.",
    504: "It took longer than the service allows.",
}
