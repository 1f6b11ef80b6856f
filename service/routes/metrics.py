"""`GET /metrics`: for Prometheus."""

from typing import cast

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import generate_latest

from service.observe.metrics import Metrics
from service.routes.context import admin, problems

router = APIRouter()

# Never OpenMetrics, which Prometheus asks for too: the library writes its names with `_` for each `:`, vLLM's as well.
_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_EXAMPLE = '# TYPE cosup:answers_total counter\ncosup:answers_total{finish_reason="stop",index="python"} 3.0\n'
_DESCRIPTION = {"description": "The metrics.", "content": {"text/plain": {"example": _EXAMPLE}}}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: _DESCRIPTION, **problems(403)},
    dependencies=[Depends(admin)],  # they name every index that is served
)
def get_metrics(request: Request) -> Response:
    """All metrics of the service and its process, and vLLM's where it decodes."""
    # Not a coroutine, so it runs in a thread: with vLLM's it is some thousand lines of text.
    metrics = cast(Metrics, request.app.state.metrics)
    return Response(generate_latest(metrics.registry), headers={"content-type": _MEDIA_TYPE})
