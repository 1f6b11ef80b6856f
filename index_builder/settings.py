"""The settings of `cosup index build`."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from semiparametric.settings import Settings


class BuildSettings(Settings):
    """Settings of one build."""

    pair: Path = Field(description="Folder of the pair whose Embseq encodes the passages.")
    corpus: Path = Field(
        description="A .jsonl or .jsonl.gz corpus, a .txt, .md or .html document, or a folder of documents."
    )
    out: Path = Field(description="Folder of the index; each build adds a version to it.")
    name: str | None = Field(default=None, min_length=1, description="Name of the index; that of its folder if none.")
    index_type: Literal["flat", "hnsw"] = Field(default="flat", description="flat is exact, hnsw fast for millions.")
    hnsw_m: int = Field(default=32, ge=2, le=512, description="Links of a vector in the graph of hnsw.")
    hnsw_ef_construction: int = Field(default=200, ge=1, description="Candidates kept while hnsw links a vector.")
    hnsw_ef_search: int = Field(default=128, ge=1, description="Candidates kept while hnsw searches.")
    dimension: int | None = Field(
        default=None,
        ge=1,
        description="Leading dimensions of each vector to keep, one of the pair's leading_dimensions; all if none.",
    )
    passage_words: int = Field(
        default=120, ge=10, description="Words of a passage at most; documents are split, passages of a .jsonl are not."
    )
    batch_tokens: int = Field(default=8192, ge=1, description="Tokens encoded at once, padding included.")
    shard_passages: int = Field(default=1024, ge=1, description="Passages encoded between two checkpoints.")
    device: str = Field(default="cpu", description="Where Embseq runs: cpu, cuda or cuda:<number>.")

    @property
    def index_parameters(self) -> dict[str, int]:
        """The numbers of the chosen index type, under the names of their settings."""
        prefix = f"{self.index_type}_"
        return {field: value for field, value in self if field.startswith(prefix)}
