"""Settings of `cosup corpus documents`."""

from pathlib import Path

from pydantic import Field

from semiparametric.settings import Settings


class DocumentsCorpusSettings(Settings):
    """What to read, and where to write it."""

    documents: Path = Field(description="Folder of documents (.txt, .md, .html), or one of them.")
    out: Path = Field(description="Corpus file to write, .jsonl or .jsonl.gz; its folder must exist.")
    passage_words: int = Field(default=120, ge=10, description="Words of a passage at most.")
