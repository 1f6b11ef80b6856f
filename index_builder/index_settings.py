"""How vectors are indexed."""

from typing import Literal

from pydantic import Field

from semiparametric.settings import Settings


class IndexSettings(Settings):
    """The index type and its numbers."""

    index_type: Literal["flat", "hnsw"] = Field(default="flat", description="flat is exact, hnsw fast for millions.")
    hnsw_m: int = Field(default=32, ge=2, le=512, description="Links of a vector in the graph of hnsw.")
    hnsw_ef_construction: int = Field(default=200, ge=1, description="Candidates kept while hnsw links a vector.")
    hnsw_ef_search: int = Field(default=128, ge=1, description="Candidates kept while hnsw searches.")
    dimension: int | None = Field(
        default=None,
        ge=1,
        description="Leading dimensions of each vector to keep, one of the pair's leading_dimensions; all if none.",
    )

    @property
    def index_parameters(self) -> dict[str, int]:
        """The numbers of the chosen index type, under the names of their settings."""
        prefix = f"{self.index_type}_"
        return {field: value for field, value in self if field.startswith(prefix)}
