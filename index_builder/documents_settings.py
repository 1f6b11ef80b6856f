"""Settings of `cosup corpus documents`."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from index_builder.reading_settings import PassageSettings, Paths

_WORDS = 120


class DocumentsCorpusSettings(PassageSettings):
    """What to read, and where to write it. Passages are measured in a pair's tokens, or in words without one."""

    documents: Paths = Field(
        min_length=1,
        description="Folder of documents (.txt, .md, .html, .pdf), one of them, or a corpus file of another format; "
        "repeatable.",
    )
    out: Path = Field(description="Corpus file to write, .jsonl or .jsonl.gz; its folder must exist.")
    pair: Path | None = Field(
        default=None, description="Folder of the pair in whose tokens passages are measured, as for its index."
    )
    passage_words: int | None = Field(
        default=None, ge=10, description=f"Without a pair: words of a passage at most; {_WORDS} if none."
    )
    overlap_words: int = Field(
        default=0,
        ge=0,
        description="Without a pair: words of whole sentences that a passage repeats from the end of the one before, "
        "at most.",
    )

    @property
    def words(self) -> int:
        """Words of a passage at most, where they are counted."""
        return self.passage_words or _WORDS

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if self.pair is None and (self.passage_tokens is not None or self.overlap_tokens):
            raise ValueError("passage_tokens and overlap_tokens are those of a pair, and none is named")
        if self.pair is not None and (self.passage_words is not None or self.overlap_words):
            raise ValueError("passage_words and overlap_words measure without a pair, and one is named")
        if self.overlap_words > self.words // 2:
            raise ValueError(f"overlap_words may be half of passage_words at most, {self.words // 2}")
        return self
