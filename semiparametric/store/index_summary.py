"""What the manifest says of a version's vectors: how they are indexed, and how much of the exact answer that finds."""

from pydantic import BaseModel, ConfigDict, Field


class Measured(BaseModel):
    """The recall of one search setting: the share of the exact search's nearest that a lookup finds, on a sample."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: int | None = Field(description="The setting's value; none where the type has no such setting.")
    recall_at_1: float = Field(ge=0, le=1, description="How often the first of ten is the nearest.")
    recall_at_10: float = Field(ge=0, le=1, description="Share of the ten nearest among ten.")
    recall_at_100: float = Field(ge=0, le=1, description="Share of the hundred nearest among a hundred.")


class IndexSummary(BaseModel):
    """How a version's vectors are searched. Fields with a default are missing in manifests of format 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dimension: int = Field(ge=1, description="Length of a sequence embedding.")
    index_type: str = Field(description="How lookups search: `flat` is exact, `hnsw` a graph, and so on.")
    index_parameters: dict[str, int | str] = Field(description="The type's own numbers, those of the search included.")
    recall_at_10: float = Field(ge=0, le=1, description="Share of the ten nearest that a lookup finds, on a sample.")
    recall_queries: str = Field(description="What that sample was.")
    reason: str | None = Field(default=None, description="Why `auto` chose this type; none where a user did.")
    lossy: bool = Field(default=False, description="Whether the index holds the vectors only approximately.")
    bytes_per_vector: float | None = Field(default=None, description="Size of the index files by their vectors.")
    search_setting: str | None = Field(
        default=None, description="The number among the parameters that trades time for recall; none for exact types."
    )
    target_recall: float | None = Field(
        default=None, description="The recall@10 for which that number was chosen; none where a user gave it."
    )
    sweep: list[Measured] = Field(
        default_factory=list, description="Recall for each value of that number that was tried, ascending."
    )
