"""`GET /indexes/{name}/map`: the passages of an index as points in a plane."""

from fastapi import APIRouter, HTTPException, Request, Response

from service.disconnects import while_connected
from service.map_schemas import MapResponse
from service.routes.context import Configured, Drawn, ReadableIndexes, problems
from service.time_limit import within

router = APIRouter()


@router.get("/indexes/{name}/map", response_model=MapResponse, responses=problems(404, 500, 503, 504))
async def get_map(
    name: str, request: Request, readable: ReadableIndexes, maps: Drawn, settings: Configured
) -> Response:
    """Show where passages lie in the sequence space. The first request for a version computes its map."""
    version = readable.version_of(name)
    async with within(settings.timeout_s):
        index_map = await while_connected(request, maps.of(version))
    if index_map is None:
        raise HTTPException(404, f"the index {name!r} did not keep its vectors, so it has no map")
    return Response(index_map.document, media_type="application/json")
