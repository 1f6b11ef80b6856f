"""How a corpus is read."""

from pathlib import Path

from pydantic import Field

from semiparametric.settings import Settings


class ReadingSettings(Settings):
    """Where the passages come from, and how documents become passages."""

    corpus: Path = Field(
        description="A .jsonl or .jsonl.gz corpus, a .txt, .md or .html document, or a folder of documents."
    )
    passage_words: int = Field(
        default=120, ge=10, description="Words of a passage at most; documents are split, passages of a .jsonl are not."
    )
