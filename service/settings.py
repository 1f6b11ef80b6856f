"""The settings of `cosup serve` and `cosup ask`."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, field_validator, model_validator

from semiparametric.errors import InputError
from semiparametric.settings import Settings
from service.index_folders import IndexFolders

_ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.-]+(:\d{1,5})?|https?://\[[0-9a-f:]+\](:\d{1,5})?")


def _origin(value: str) -> str:
    if not _ORIGIN.fullmatch(value):
        raise ValueError("an origin is http(s)://host or http(s)://host:port, without a path, or '*'")
    return value


Origin = Annotated[str, AfterValidator(_origin)]

ANY = "*"
"""Stands in `allowed_hosts` for every name."""

_HOST = re.compile(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


def _host(value: str) -> str:
    name = value.lower()
    if name != ANY and not _HOST.fullmatch(name):
        raise ValueError("a host is a name as in ask.example.org, without http:// and port, or '*'")
    return name


HostName = Annotated[str, AfterValidator(_host)]


class EngineSettings(Settings):
    """What decodes, and where it runs."""

    engine: Literal["auto", "transformers", "vllm"] = Field(
        default="auto",
        description="What decodes: transformers, which is built in, or vllm; auto: vllm where it and a GPU are there.",
    )
    vllm: dict[str, Any] = Field(
        default={}, description="More arguments of vLLM, such as tensor_parallel_size=2 (see `vllm serve --help`)."
    )
    adapter: Path | None = Field(
        default=None, description="Folder of a LoRA adapter of Gen, which vllm applies without merging it."
    )
    device: str = Field(default="cpu", description="Where Gen runs: cpu, cuda or cuda:<number>.")
    dtype: Literal["float32", "bfloat16", "float16"] = Field(default="float32", description="Number format of Gen.")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads of one computation; PyTorch's choice if none."
    )
    context_length: int | None = Field(
        default=None,
        ge=64,
        description="Tokens of prompt, passages and answer; the model's own limit if none.",
    )

    @field_validator("vllm")
    @classmethod
    def _read_as_json(cls, options: dict[str, Any]) -> dict[str, Any]:
        """On the command line every value is text."""
        return {name: _json_or_text(value) for name, value in options.items()}


def _json_or_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


class ModelSettings(EngineSettings):
    """What is loaded, and where it runs."""

    pair: Path = Field(description="Folder of the pair.")
    index: IndexFolders = Field(
        min_length=1,
        description="Folder of an index, or NAME=FOLDER; repeat it to serve several. The first one is the default.",
    )


class ServeSettings(ModelSettings):
    """A running service."""

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for all of the machine's.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    max_sessions: int = Field(default=16, ge=1, le=1024, description="Answers decoded at a time, in one batch.")
    queue: int = Field(default=64, ge=0, description="Requests that wait for a place; more are refused with 503.")
    retry_after_s: int = Field(default=2, ge=1, description="Seconds that a refused client is told to wait.")
    max_body_bytes: int = Field(default=256 * 1024, ge=1024, description="Bytes of a request body, at most.")
    max_new_tokens: int = Field(default=256, ge=1, description="Tokens of an answer where a request does not say.")
    max_new_tokens_limit: int = Field(default=1024, ge=1, description="Tokens that a request may ask for, at most.")
    watch_s: float = Field(
        default=5, ge=0, description="Seconds between looks for a newly published version of an index; 0 never looks."
    )
    timeout_s: float = Field(
        default=300, gt=0, description="Seconds in which a request's body must have arrived, and again its answer left."
    )
    keys: Path | None = Field(
        default=None, description="File of the keys that may ask (see `cosup keys`); everybody may if none."
    )
    cors_origins: list[Origin] = Field(
        default=[], description="Web pages of other origins that may ask, as in https://example.org; '*' for all."
    )
    allowed_hosts: list[HostName] = Field(
        default=[],
        description="Names that clients may ask for, as in ask.example.org, '*' for all; if none, every name, but only "
        "the machine's own where host is one of its own addresses.",
    )
    embeddings: bool = Field(default=False, description="Load Embseq too and answer POST /v1/embeddings.")
    mcp: bool = Field(
        default=False, description="Offer retrieve and generate as tools of the Model Context Protocol under /mcp."
    )
    notice_s: float = Field(
        default=0,
        ge=0,
        description="Seconds after SIGTERM in which questions are still taken, while /ready says 503 to balancers.",
    )
    drain_s: int = Field(
        default=30, ge=0, description="Seconds that running answers get to end after SIGTERM and notice_s."
    )

    @model_validator(mode="after")
    def _default_within_its_limit(self) -> Self:
        if self.max_new_tokens > self.max_new_tokens_limit:
            raise ValueError(
                f"max_new_tokens {self.max_new_tokens} is over max_new_tokens_limit {self.max_new_tokens_limit}"
            )
        return self


class AskSettings(EngineSettings):
    """One question from the terminal."""

    question: str = Field(min_length=1, description="The question.")
    pair: Path | None = Field(default=None, description="Folder of the pair; required without --url.")
    index: IndexFolders = Field(
        default=(), max_length=1, description="Folder of the index; with --url its name there, the default one if none."
    )
    url: str | None = Field(
        default=None,
        pattern="^https?://[^/]",
        description="Address of a running service that answers, as in http://localhost:8000; no pair is loaded then.",
    )
    key: SecretStr | None = Field(default=None, description="Key of that service; better set as COSUP_KEY.")
    retrieval: Literal["auto", "first", "never"] = Field(
        default="auto",
        description="auto: Gen decides when to look up; first: before the first word; never.",
    )
    max_retrievals: int = Field(default=4, ge=0, le=32, description="Lookups in one answer, at most.")
    top_k: int = Field(default=1, ge=1, le=100, description="Passages that one lookup reports; Gen gets the best.")
    min_score: float | None = Field(default=None, description="A lookup whose best score is lower adds nothing.")
    max_new_tokens: int = Field(default=256, ge=1, description="Tokens of the answer, at most.")
    temperature: float = Field(default=0.0, ge=0, le=2, description="0 always takes the likeliest token.")
    top_p: float = Field(default=1.0, gt=0, le=1, description="Sample from the likeliest tokens with this joint mass.")
    seed: int | None = Field(default=None, ge=0, description="The same seed samples the same answer.")
    as_json: bool = Field(default=False, description="Print the answer as JSON, as `POST /generate` gives it.")

    @model_validator(mode="after")
    def _knows_who_answers(self) -> Self:
        lacking = [name for name in ("pair", "index") if not getattr(self, name)]
        if self.url is None and lacking:
            raise ValueError(f"{' and '.join(lacking)}: needed to answer here; or give the --url of a running service")
        return self

    def models(self) -> ModelSettings:
        """What is loaded to answer here.

        Raises:
            InputError: There is no pair; `url` answers.
        """
        if self.pair is None:
            raise InputError("there is no pair to load", where="pair")
        engine = {name: getattr(self, name) for name in EngineSettings.model_fields}
        return ModelSettings(pair=self.pair, index=self.index, **engine)
