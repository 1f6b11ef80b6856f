"""The settings of `cosup bench-serve`."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from semiparametric.settings import Settings

CONCURRENCY = 16  # where neither it nor a rate is given


class BenchServeSettings(Settings):
    """A load on a running service, bounded in requests and time."""

    url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://", description="Address of the service.")
    questions: Path = Field(
        description="Questions to ask: a text file with one a line, or .jsonl with a field `question` (examples are)."
    )
    requests: int = Field(default=200, ge=1, le=1_000_000, description="Requests to make; questions are repeated.")
    concurrency: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description=f"Clients that each ask again when they are answered; {CONCURRENCY} if there is no rate.",
    )
    rate: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="Requests that begin each second on average, at random (Poisson) and whatever is still under way.",
    )
    duration_s: float = Field(default=600, gt=0, description="Seconds after which no more requests begin.")
    timeout_s: float = Field(default=120, gt=0, description="Seconds after which a client gives its request up.")
    stream: bool = Field(default=True, description="Have answers streamed, which is what shows the first token.")
    index: str | None = Field(default=None, description="Name of the index; the service's own if none.")
    retrieval: Literal["auto", "first", "never"] = Field(
        default="auto", description="auto: Gen decides when to look up; first: before the first word; never."
    )
    max_new_tokens: int | None = Field(
        default=None, ge=1, description="Tokens of an answer, at most; the service's default if none."
    )
    api_key: SecretStr | None = Field(default=None, description="Sent as a bearer token; best set as COSUP_API_KEY.")
    seed: int = Field(default=0, ge=0, description="The order of the questions and, with a rate, when they are asked.")
    out: Path | None = Field(default=None, description="JSON file for the figures and every single request.")

    @model_validator(mode="after")
    def _one_way_to_load(self) -> Self:
        if self.concurrency is not None and self.rate is not None:
            raise ValueError("concurrency and rate are two ways to load a service; give one of them")
        return self
