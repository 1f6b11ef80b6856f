"""`POST /generate`: a question answered with cited passages, or many questions."""

from fastapi import APIRouter, Request, Response

from service.answering import begin_answer, finished
from service.batches import answer_batch
from service.decoding.answer import Answer
from service.decoding.events import whole_answer
from service.disconnects import while_connected
from service.refusals import request_id_of
from service.routes.context import Configured, Drawn, Loaded, ReadableIndexes, problems
from service.schemas import BatchResponse, GenerateRequest, GenerateResponse
from service.streaming import STREAM_DESCRIPTION, AnswerStream

router = APIRouter()


@router.post(
    "/generate",
    response_model=GenerateResponse | BatchResponse,
    response_model_exclude_unset=True,
    responses={200: STREAM_DESCRIPTION, **problems(400, 404, 408, 413, 415, 422, 500, 503, 504)},
)
async def post_generate(
    body: GenerateRequest,
    request: Request,
    resources: Loaded,
    readable: ReadableIndexes,
    settings: Configured,
    maps: Drawn,
) -> GenerateResponse | BatchResponse | Response:
    """Answer a question with citations, or several. With `stream`, send server-sent events while it is written."""
    version = readable.version_of(body.index)
    request_id = request_id_of(request)
    if body.questions:
        return await while_connected(request, answer_batch(body, version, resources, settings, maps, request_id))
    events = await begin_answer(body, version, resources, settings, maps)

    async def finish(answer: Answer) -> GenerateResponse:
        response = await finished(body, answer, version, maps)
        request.state.timings.update(response.timings)
        return response

    if not body.stream:
        return await finish(await while_connected(request, whole_answer(events)))
    # The first event comes before the status line, so that a refusal and a full queue have a status of their own.
    first = await while_connected(request, anext(events))
    return AnswerStream(first, events, finish, request_id=request_id, timeout_s=settings.timeout_s)
