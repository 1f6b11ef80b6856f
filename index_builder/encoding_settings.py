"""How passages become sequence embeddings."""

from pydantic import Field

from semiparametric.settings import Settings


class EncodingSettings(Settings):
    """Where Embseq runs, and in what portions."""

    batch_tokens: int = Field(default=8192, ge=1, description="Tokens encoded at once, padding included.")
    shard_passages: int = Field(default=1024, ge=1, description="Passages encoded between two checkpoints.")
    device: str = Field(default="cpu", description="Where Embseq runs: cpu, cuda or cuda:<number>.")
