"""What the manifest says of a version's vectors: how they are indexed, and how much of the exact answer that finds."""

from pydantic import BaseModel, ConfigDict, Field


class IndexSummary(BaseModel):
    """How a version's vectors are searched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: int = Field(ge=1, description="Length of a sequence embedding.")
    index_type: str = Field(description="How lookups search: `flat` is exact, `hnsw` a graph.")
    index_parameters: dict[str, int] = Field(description="The type's own numbers.")
    recall_at_10: float = Field(ge=0, le=1, description="Share of the ten nearest that a lookup finds, on a sample.")
    recall_queries: str = Field(description="What that sample was.")
