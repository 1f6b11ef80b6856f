"""`GET /indexes` and `POST /indexes/{name}/reload`: what is served, in which version."""

from fastapi import APIRouter, Depends, HTTPException

from semiparametric.errors import StoreError
from service.replies import index_details
from service.routes.context import ReadableIndexes, admin, problems
from service.schemas import IndexDetails, IndexesResponse

router = APIRouter(prefix="/indexes")


@router.get("", responses=problems(500, 503))
async def get_indexes(readable: ReadableIndexes) -> IndexesResponse:
    """The indexes that can be asked, with their versions and counts."""
    default = readable.default
    return IndexesResponse(
        default=None if default is None else default.name,
        indexes=[index_details(index) for index in readable.indexes],
    )


@router.get("/{name}", responses=problems(404, 500, 503))
async def get_index(name: str, readable: ReadableIndexes) -> IndexDetails:
    """One index."""
    return index_details(readable.named(name))


@router.post("/{name}/reload", responses=problems(403, 404, 409, 500, 503), dependencies=[Depends(admin)])
async def post_reload(name: str, readable: ReadableIndexes) -> IndexDetails:
    """Serve the published version now, without waiting for the next look. Requests in flight end on theirs."""
    index = readable.named(name)
    try:
        await index.refresh()
    except StoreError as error:
        raise HTTPException(
            409, f"what is published cannot be served, version {index.current.store.version} still is; see the log"
        ) from error
    return index_details(index)
