"""The settings of `cosup experiment`: what is varied, what is trained, and what it is measured on."""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from evaluation.results import Domain
from semiparametric.settings import Settings

Supervision = Literal["co-supervised", "separate", "nsp-only", "shared"]
DATA_PLACE = "{data}"
"""Stands, at the start of a path, for the folder that `prepare` writes into."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class PythonDocs(BaseModel):
    """Passages and questions made of the documentation of installed packages, so that nothing has to be fetched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    package: list[str] = Field(
        min_length=1, description="Installed packages, by top-level name; 'stdlib' stands for the standard library."
    )
    questions_per_passage: int = Field(default=9, ge=1, le=40, description="Most questions about one name (number).")
    num_known: int = Field(default=2000, ge=0, description="Questions in known.jsonl.gz (number).")
    num_unseen: int = Field(default=1000, ge=0, description="Questions in dev, and in test (number each).")
    test_percent: float = Field(default=8.0, ge=0, le=50, description="Share of modules kept for test, in percent.")
    dev_percent: float = Field(default=4.0, ge=0, le=50, description="Share of modules kept for dev, in percent.")


class EvaluationSet(BaseModel):
    """Questions and the corpus that they are looked up in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    corpus: Path = Field(description="Corpus file (.jsonl, .jsonl.gz); lookups search all of it.")
    examples: Path = Field(description="Example file; those that cite a passage are asked.")
    domain: Domain = Field(description="Whether training saw questions of this kind.")
    lookups: int = Field(default=1000, ge=1, description="Questions that are looked up, a fixed sample (number).")
    answers: int = Field(default=300, ge=0, description="Questions that are answered, of the same sample (number).")
    not_answers: list[str] = Field(
        default_factory=list, description="Answers of the file that stand for none, such as NA."
    )
    right_f1: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Token F1 from which an answer is right, for sets of long references; none: only an answer that "
        "contains a reference.",
    )


class Grid(BaseModel):
    """What is varied: every combination is one group, trained once for each seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    supervisions: list[Supervision] = Field(
        default=["co-supervised", "separate", "nsp-only", "shared"], description="Supervisions that are compared."
    )
    nsp_weights: list[float] = Field(
        default_factory=list,
        description="Lambdas of co-supervised and shared; the others have none. Empty: that of the training settings.",
    )
    embseqs: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Choices of Embseq: a name, and the training settings that make it; `shared` has none. Empty: that "
        "of the training settings.",
    )
    seeds: list[int] = Field(default=[0], min_length=1, description="Seeds; the spread is taken over them.")

    @field_validator("nsp_weights", "seeds", "supervisions")
    @classmethod
    def _each_once(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise ValueError(f"each may stand once, not {values}")
        return values

    @field_validator("nsp_weights")
    @classmethod
    def _no_negative_weight(cls, values: list[float]) -> list[float]:
        if any(value < 0 for value in values):
            raise ValueError(f"lambda is 0 or more, not {values}")
        return values


class Decoding(BaseModel):
    """How questions are answered: greedily, within these limits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    retrieval: Literal["auto", "first", "never"] = Field(
        default="auto", description="Whether Gen decides when to look up, or looks up before the first token."
    )
    max_retrievals: int = Field(default=4, ge=0, description="Lookups of one answer at the most.")
    max_new_tokens: int = Field(default=96, ge=1, description="Tokens of one answer at the most, passages apart.")


class ExperimentSettings(Settings):
    """Settings of one experiment."""

    out: Path = Field(description="Folder of the experiment: data, cells, report and plots.")
    title: str = Field(default="Experiment", min_length=1, description="Heading of report and plots.")
    base: Path | None = Field(default=None, description="A config of `cosup train` that every cell starts from.")
    train: dict[str, Any] = Field(
        default_factory=dict, description="Settings of `cosup train` for every cell; they win over those of `base`."
    )
    grid: Grid = Grid()
    variants: dict[str, dict[str, Any]] = Field(
        default_factory=dict,
        description="Further groups: a name, and the training settings in which it differs from `base` and `train`.",
    )
    sets: dict[str, EvaluationSet] = Field(min_length=1, description="What every cell is measured on, by name.")
    decoding: Decoding = Decoding()
    prepare: dict[str, PythonDocs] = Field(
        default_factory=dict,
        description="Data to make first, by name: {data}/<name>/corpus.jsonl.gz, and train, known, dev and test there.",
    )
    bm25: bool = Field(default=True, description="Whether BM25 is measured beside the cells.")
    jobs: int | None = Field(
        default=None, ge=1, description="Cells at a time; none: one for each GPU, one where there is none."
    )
    keep: bool = Field(default=False, description="Keep checkpoints and indexes of finished cells (gigabytes).")

    @field_validator("sets", "variants", "prepare")
    @classmethod
    def _names_are_file_names(cls, table: dict[str, Any]) -> dict[str, Any]:
        return _with_file_names(table)

    @field_validator("grid")
    @classmethod
    def _embseq_names_are_file_names(cls, grid: Grid) -> Grid:
        _with_file_names(grid.embseqs)
        return grid

    @model_validator(mode="after")
    def _something_is_trained(self) -> "ExperimentSettings":
        if not self.grid.supervisions and not self.variants:
            raise ValueError("grid.supervisions and variants are both empty, so there is nothing to train")
        return self


def _with_file_names(table: dict[str, Any]) -> dict[str, Any]:
    wrong = [name for name in table if not _NAME.fullmatch(name)]
    if wrong:
        raise ValueError(f"names of folders come of these: use letters, digits, '.', '_' and '-', not {wrong[0]!r}")
    return table
