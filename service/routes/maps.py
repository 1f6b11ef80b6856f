"""`GET /indexes/{name}/map`: the passages of an index as points in a plane."""

from fastapi import APIRouter, HTTPException, Response

from service.map_schemas import MapResponse
from service.routes.context import Drawn, ReadableIndexes, problems

router = APIRouter()


@router.get("/indexes/{name}/map", response_model=MapResponse, responses=problems(404, 500, 503))
async def get_map(name: str, readable: ReadableIndexes, maps: Drawn) -> Response:
    """Show where passages lie in the sequence space. The first request for a version computes its map."""
    index_map = await maps.of(readable.version_of(name))
    if index_map is None:
        raise HTTPException(404, f"the index {name!r} did not keep its vectors, so it has no map")
    return Response(index_map.document, media_type="application/json")
