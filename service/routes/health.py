"""`GET /health` and `GET /ready`: alive, and able to serve."""

from fastapi import APIRouter, HTTPException, Request

from service.routes.context import Loaded, problems
from service.schemas import StatusResponse

router = APIRouter()


@router.get("/health")
async def get_health() -> StatusResponse:
    """The process answers."""
    return StatusResponse(status="alive")


@router.get("/ready", responses=problems(503))
async def get_ready(request: Request, _: Loaded) -> StatusResponse:
    """The pair and the index are loaded and have been tried once, and the service is not about to end."""
    if request.app.state.draining.has_begun:
        raise HTTPException(503, "the service is about to end; ask another one")
    return StatusResponse(status="ready")
