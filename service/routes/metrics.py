"""`GET /metrics`: for Prometheus."""

from typing import cast

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder

from service.observe.metrics import Metrics

router = APIRouter()

_EXAMPLE = '# TYPE cosup:answers_total counter\ncosup:answers_total{finish_reason="stop",index="python"} 3.0\n'
_DESCRIPTION = {"description": "The metrics.", "content": {"text/plain": {"example": _EXAMPLE}}}


@router.get("/metrics", response_class=Response, responses={200: _DESCRIPTION})
def get_metrics(request: Request) -> Response:
    """All metrics of the service and its process, and vLLM's where it decodes, as text or OpenMetrics."""
    # Not a coroutine, so it runs in a thread: with vLLM's it is some thousand lines of text.
    metrics = cast(Metrics, request.app.state.metrics)
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(metrics.registry), headers={"content-type": media_type})
