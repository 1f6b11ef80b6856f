"""`POST /retrieve`: the passages nearest to a query."""

from time import perf_counter

from fastapi import APIRouter, Request

from service.disconnects import while_connected
from service.replies import index_info, passage_results
from service.routes.context import Configured, Loaded, ReadableIndexes, problems
from service.schemas import RetrieveRequest, RetrieveResponse
from service.time_limit import within

router = APIRouter()


@router.post("/retrieve", responses=problems(400, 404, 408, 413, 415, 422, 500, 503, 504))
async def post_retrieve(
    body: RetrieveRequest, request: Request, resources: Loaded, readable: ReadableIndexes, settings: Configured
) -> RetrieveResponse:
    """Look a query up as an answer would: with Gen's query state, or encoded where the pair's query is text."""
    version = readable.version_of(body.index)
    start = perf_counter()
    rows = await version.candidate_rows(body.candidates, body.filter)
    filtered = perf_counter()
    async with within(settings.timeout_s):
        found = await while_connected(request, resources.retrieve(version, body.query, body.top_k, rows))
    request.state.timings.update(filter=filtered - start, retrieve=perf_counter() - filtered)
    return RetrieveResponse(passages=passage_results(found), index=index_info(version))
