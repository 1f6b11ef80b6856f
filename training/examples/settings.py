"""Settings of `cosup examples python`."""

from pathlib import Path

from pydantic import Field

from semiparametric.settings import Settings


class PythonExamplesSettings(Settings):
    """Which corpus to ask about, how many questions, and where to write them."""

    corpus: Path = Field(description="Corpus file made by `cosup corpus python`, .jsonl or .jsonl.gz.")
    out: Path = Field(description="Folder for train, dev, test and known.jsonl.gz; made if it does not exist.")
    seed: int = Field(default=0, description="Seed of the choice of questions; the same seed gives the same files.")
    questions_per_passage: int = Field(
        default=9, ge=1, le=40, description="Most training questions about one documented name (number)."
    )
    num_known: int = Field(
        default=2000, ge=0, description="Held-out questions about modules seen in training (number)."
    )
    num_unseen: int = Field(
        default=1000, ge=0, description="Questions in dev, and in test, about unseen modules (number each)."
    )
    test_percent: float = Field(
        default=8.0, ge=0, le=50, description="Share of top-level modules kept for test, in percent."
    )
    dev_percent: float = Field(
        default=4.0, ge=0, le=50, description="Share of top-level modules kept for dev, in percent."
    )
