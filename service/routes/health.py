"""`GET /health` and `GET /ready`: alive, and able to serve."""

from fastapi import APIRouter

from service.routes.context import Loaded, problems
from service.schemas import StatusResponse

router = APIRouter()


@router.get("/health")
async def get_health() -> StatusResponse:
    """The process answers."""
    return StatusResponse(status="alive")


@router.get("/ready", responses=problems(503))
async def get_ready(_: Loaded) -> StatusResponse:
    """The pair and the index are loaded and have been tried once."""
    return StatusResponse(status="ready")
