"""The one model that there is: the pair."""

from pathlib import Path
from typing import Literal

from fastapi import HTTPException
from pydantic import BaseModel, ConfigDict, Field

from service.openai_api import examples

_RESPONSE = ConfigDict(extra="forbid", frozen=True)
_SHOWN_CHARACTERS = 80


class Model(BaseModel):
    """A model that can be asked."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.MODEL]})

    id: str = Field(description="The name of the pair: that of its folder.")
    object: Literal["model"]
    created: int = Field(description="When the pair was saved, in seconds since 1970.")
    owned_by: Literal["cosup"]


class Models(BaseModel):
    """The models that can be asked."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.MODELS]})

    object: Literal["list"]
    data: list[Model]


def pair_model(pair: Path) -> Model:
    """The pair as a model."""
    created = int((pair / "pair.json").stat().st_mtime)
    return Model(id=pair_name(pair), object="model", created=created, owned_by="cosup")


def pair_name(pair: Path) -> str:
    """What clients call the pair: the name of its folder."""
    return pair.resolve().name


def refuse_other_model(name: str, pair: Path) -> None:
    """404 where the request names a model that is not the pair."""
    if name != pair_name(pair):
        shown = name[:_SHOWN_CHARACTERS]
        raise HTTPException(404, f"there is no model {shown!r} here; the one that there is: {pair_name(pair)!r}")
