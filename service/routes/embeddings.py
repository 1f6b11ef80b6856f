"""`POST /v1/embeddings`: sequence embeddings of passages in OpenAI's shape."""

import base64

import numpy as np
from fastapi import APIRouter, HTTPException, Request
from numpy.typing import NDArray

from semiparametric.errors import InputError
from service.disconnects import while_connected
from service.openai_api.embedding_schemas import Embedding, EmbeddingsRequest, EmbeddingsResponse, EmbeddingsUsage
from service.openai_api.errors import errors
from service.openai_api.models import pair_name, refuse_other_model
from service.passage_encoder import PassageEncoder
from service.routes.context import Configured, Loaded
from service.time_limit import within

router = APIRouter(prefix="/v1", tags=["OpenAI"])


@router.post("/embeddings", responses=errors(400, 404, 408, 413, 415, 500, 503, 504))
async def post_embeddings(
    body: EmbeddingsRequest, request: Request, _: Loaded, settings: Configured
) -> EmbeddingsResponse:
    """Embed passages with Embseq, exactly as an index of this pair holds them."""
    refuse_other_model(body.model, settings.pair)
    encoder: PassageEncoder | None = request.app.state.passage_encoder
    if encoder is None:
        raise HTTPException(404, "embeddings are not switched on here; start the service with --embeddings")
    dimension = _dimension(encoder, body.dimensions)
    titles = body.titles or [""] * len(body.input)
    texts = [encoder.spec.passage.render(title, text) for title, text in zip(titles, body.input, strict=True)]
    async with within(settings.timeout_s):
        encoded = await while_connected(request, encoder.encode(texts, dimension))
    return EmbeddingsResponse(
        object="list",
        data=[
            Embedding(object="embedding", index=index, embedding=_written(vector, body.encoding_format))
            for index, vector in enumerate(encoded.vectors)
        ],
        model=pair_name(settings.pair),
        usage=EmbeddingsUsage(prompt_tokens=encoded.tokens, total_tokens=encoded.tokens),
    )


def _dimension(encoder: PassageEncoder, dimensions: int | None) -> int:
    try:
        return encoder.spec.served_dimension(dimensions)
    except InputError as error:
        raise InputError(error.message, where="dimensions", remedy=error.remedy) from error


def _written(vector: NDArray[np.float32], encoding_format: str) -> list[float] | str:
    if encoding_format == "base64":
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.tolist()
    return numbers
