"""How vectors are indexed."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from semiparametric.settings import Settings

if TYPE_CHECKING:
    from semiparametric.store.index_plan import IndexPlan

_NUMBERS = (
    "hnsw_m",
    "hnsw_ef_construction",
    "hnsw_ef_search",
    "ivf_lists",
    "ivf_nprobe",
    "pq_m",
    "pq_opq",
    "rescore",
    "factory",
)


class IndexSettings(Settings):
    """The index type and its numbers. Those of other types than the one that is built are passed over."""

    index_type: Literal["auto", "flat", "hnsw", "ivf-flat", "ivf-sq8", "ivf-pq", "factory"] = Field(
        default="auto",
        description="flat is exact, hnsw a graph, ivf-* lists of vectors or of shorter codes, factory any faiss "
        "string; auto chooses by count, dimension and memory_budget.",
    )
    hnsw_m: int = Field(default=32, ge=2, le=512, description="Links of a vector in the graph of hnsw.")
    hnsw_ef_construction: int = Field(default=200, ge=1, description="Candidates kept while hnsw links a vector.")
    hnsw_ef_search: int | None = Field(
        default=None, ge=1, description="Candidates kept while a graph is searched; chosen for target_recall if none."
    )
    ivf_lists: int | None = Field(
        default=None, ge=1, description="Lists of ivf-*; four times the root of the number of vectors if none."
    )
    ivf_nprobe: int | None = Field(
        default=None, ge=1, description="Lists that a lookup searches; chosen for target_recall if none."
    )
    pq_m: int | None = Field(
        default=None,
        ge=1,
        description="Bytes of a vector in ivf-pq; a divisor of the dimension, about a quarter of it if none.",
    )
    pq_opq: bool = Field(default=True, description="Whether ivf-pq turns the vectors first so that codes lose less.")
    rescore: int = Field(
        default=4,
        ge=0,
        le=1000,
        description="Candidates for each result that lossy types compare again with the kept vectors; 0 for none.",
    )
    factory: str | None = Field(
        default=None, description="What faiss.index_factory makes for the index type factory, as in OPQ16,IVF256,PQ16."
    )
    target_recall: float = Field(
        default=0.95, gt=0, le=1, description="Recall@10 for which hnsw_ef_search or ivf_nprobe is chosen."
    )
    memory_budget: float | None = Field(
        default=None, gt=0, description="GiB that an index of type auto may take where it is served; no limit if none."
    )
    training_vectors: int = Field(
        default=262_144, ge=256, description="Vectors that ivf-* and factory types are trained on, at most."
    )
    index_on_gpu: bool = Field(
        default=True,
        description="Train and fill the index on a GPU where faiss sees one; its bytes may differ from run to run.",
    )
    dimension: int | None = Field(
        default=None,
        ge=1,
        description="Leading dimensions of each vector to keep, one of the pair's leading_dimensions; all if none.",
    )
    shards: int = Field(default=1, ge=1, description="Index files that the vectors are cut into.")
    keep_vectors: bool = Field(
        default=True, description="Keep the vectors beside an index that holds them only approximately."
    )

    def index_plan(self, count: int, dimension: int) -> "IndexPlan":
        """What to build for so many vectors of such a dimension.

        Raises:
            InputError: Such an index cannot be built; the message says what can.
        """
        from index_builder.auto_type import choose_plan  # faiss is needed only here
        from semiparametric.store import index_gpu
        from semiparametric.store.index_plan import IndexPlan

        given = {name: getattr(self, name) for name in _NUMBERS}
        more = {
            "target_recall": self.target_recall,
            "keep_vectors": self.keep_vectors,
            "training_vectors": self.training_vectors,
            "on_gpu": self.index_on_gpu and index_gpu.available(),
        }
        if self.index_type == "auto":
            return choose_plan(
                given,
                count=count,
                dimension=dimension,
                shards=self.shards,
                memory_budget=self.memory_budget,
                **more,
            )
        return IndexPlan.checked(self.index_type, given, count=count, dimension=dimension, shards=self.shards, **more)

    @property
    def index_parameters(self) -> dict[str, int]:
        """The numbers of the chosen index type that are set, under the names of their settings."""
        prefix = f"{self.index_type}_"
        return {field: value for field, value in self if field.startswith(prefix) and value is not None}
