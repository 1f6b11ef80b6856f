"""The map of an index as it goes over HTTP."""

from pydantic import BaseModel, ConfigDict, Field

from service import examples
from service.schemas import IndexInfo, MapPoint


class MappedPassage(BaseModel):
    """A passage on the map."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(description="Unique name within the index.")
    title: str = Field(description="Heading; may be empty.")
    point: MapPoint


class MapResponse(BaseModel):
    """Passages of an index in the plane in which their sequence embeddings differ most (principal components)."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [examples.MAP]})

    index: IndexInfo
    count: int = Field(description="Passages of the index. A large one is shown by some, evenly spaced.")
    share: float = Field(description="How much of the variance of the passages shown lies in the plane, 0 to 1.")
    passages: list[MappedPassage] = Field(description="The passages shown.")
