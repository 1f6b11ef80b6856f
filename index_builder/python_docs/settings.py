"""Settings of `cosup corpus python`."""

from pathlib import Path

from pydantic import Field

from semiparametric.settings import Settings


class PythonCorpusSettings(Settings):
    """What to document, and where to write it."""

    package: list[str] = Field(
        default_factory=list,
        description="Installed package to read instead of the standard library, by its top-level name; repeatable; "
        "'stdlib' stands for the standard library.",
    )
    private: bool = Field(
        default=False, description="Include names with a component that starts with an underscore; left out by default."
    )
    out: Path = Field(description="Corpus file to write, .jsonl or .jsonl.gz; its folder must exist.")
    max_words: int = Field(
        default=120, ge=20, description="Longest passage in words; a longer docstring is split at paragraph ends."
    )
    inspect_timeout_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Time for one compiled standard module to be inspected in a child process, in seconds.",
    )
