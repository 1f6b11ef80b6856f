"""How passages become sequence embeddings."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from semiparametric.settings import Settings


class EncodingSettings(Settings):
    """Where Embseq runs, and in what portions."""

    batch_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Tokens encoded at once, padding included; if none, 8192 on GPUs, 1024 on a CPU.",
    )
    shard_passages: int = Field(
        default=4096,
        ge=1,
        description="Passages encoded between two checkpoints, and sorted by length among themselves.",
    )
    device: str = Field(
        default="auto",
        description="Where Embseq runs: cpu, cuda (every GPU), cuda:<number>, or several of one kind with commas, "
        "each with a process of its own; auto takes every GPU, or the CPU where there is none.",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        description="What Embseq computes in; auto: bfloat16 on GPUs, float32 on a CPU.",
    )
    encoding_threads: int | None = Field(
        default=None, ge=1, description="Threads that each process computes with; as many as there are cores if none."
    )
    engine: Literal["local", "ray"] = Field(default="local", description="This machine alone, or Ray Data.")
    address: str | None = Field(
        default=None, description="Ray's cluster, as auto or 10.0.0.1:6379; if none, Ray is started on this machine."
    )
    workers: int | None = Field(
        default=None, ge=1, description="Ray's actors, each with an Embseq; if none, one per GPU or else two."
    )

    @field_validator("device")
    @classmethod
    def _device_has_names(cls, device: str) -> str:
        names = [name.strip() for name in device.split(",")]
        if not all(names) or ("auto" in names and len(names) > 1):
            raise ValueError("not auto, cpu, cuda, cuda:<number>, or several of the last three with commas")
        return ",".join(names)

    @model_validator(mode="after")
    def _ray_has_its_own_settings(self) -> Self:
        if self.engine == "ray" and self.device not in {"auto", "cpu", "cuda"}:
            raise ValueError(f"device is {self.device!r}; with engine ray say auto, cpu or cuda, and how many workers")
        given = [name for name in ("address", "workers") if getattr(self, name) is not None]
        if self.engine == "local" and given:
            raise ValueError(f"{' and '.join(given)} given, which is for engine ray")
        return self
