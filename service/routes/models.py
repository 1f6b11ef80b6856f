"""`GET /v1/models`: the name under which OpenAI's clients ask for the pair."""

from fastapi import APIRouter

from service.openai_api.errors import errors
from service.openai_api.models import Model, Models, pair_model, refuse_other_model
from service.routes.context import Configured

router = APIRouter(prefix="/v1/models", tags=["OpenAI"])


@router.get("", responses=errors(500))
def get_models(settings: Configured) -> Models:
    """The models that can be asked: one, the pair."""
    return Models(object="list", data=[pair_model(settings.pair)])


@router.get("/{name}", responses=errors(404, 500))
def get_model(name: str, settings: Configured) -> Model:
    """One model."""
    refuse_other_model(name, settings.pair)
    return pair_model(settings.pair)
