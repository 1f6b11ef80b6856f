"""How a corpus is read."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from semiparametric.settings import Settings

Format = Literal["auto", "documents", "jsonl", "parquet", "beir", "dpr", "kilt", "alce"]
OnError = Literal["stop", "skip"]


def _as_list(value: Any) -> Any:
    """One path as a list of one; a JSON list, as an environment variable may hold it, as a list."""
    if isinstance(value, str) and value.startswith("["):
        return json.loads(value)
    return [value] if isinstance(value, str | Path) else value


Paths = Annotated[list[Path], NoDecode, BeforeValidator(_as_list)]
"""One path or several."""


class PassageSettings(Settings):
    """How files become passages."""

    format: Format = Field(
        default="auto", description="What the files hold; auto tells it by their names and first records."
    )
    passage_tokens: int | None = Field(
        default=None,
        ge=8,
        description="Tokens of a document's passage at most, its title included; as many as the pair reads if none. "
        "Passages of other formats are not split.",
    )
    overlap_tokens: int = Field(
        default=0,
        ge=0,
        description="Tokens of whole sentences that a passage repeats from the end of the one before, at most.",
    )
    near_duplicates: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Leave out a passage that is as similar as this to an earlier one: Jaccard similarity of their "
        "triples of words. All are kept if none.",
    )
    on_error: OnError = Field(
        default="stop", description="What a bad record does: stop the command, or be skipped, counted and written."
    )
    rejects: Path | None = Field(
        default=None, description="File for skipped records; rejects.jsonl in the folder of what is made if none."
    )


class ReadingSettings(PassageSettings):
    """Where the passages come from, and how documents become passages."""

    corpus: Paths = Field(
        min_length=1,
        description="A corpus file (.jsonl, .json, .tsv, .parquet), a document (.txt, .md, .html, .pdf), or a folder "
        "of documents or of a BEIR set; repeatable.",
    )
