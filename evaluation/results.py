"""What an experiment found, as it stands in `report.json`: figures of each cell on each set, and their spread."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Domain = Literal["in-domain", "out-of-domain"]
Curve = list[tuple[float, float]]


class SetFigures(BaseModel):
    """Figures of one cell on one set. Shares lie between 0 and 1; None: not applicable, for the reason in `note`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    questions: int = Field(description="Questions that were looked up (number).")
    recall_at_1: float | None = Field(description="Share of lookups whose first passage is a gold one.")
    recall_at_5: float | None = Field(description="Share of lookups with a gold passage among the first five.")
    answered: int = Field(default=0, description="Questions that were answered, the first ones (number).")
    exact_match: float | None = Field(default=None, description="Share of answers that are a reference, normalised.")
    f1: float | None = Field(default=None, description="Mean token F1 against the closest reference, normalised.")
    right: float | None = Field(default=None, description="Share of answers that contain a reference, normalised.")
    grounded: float | None = Field(
        default=None, description="Share of answers whose every cited span stands in the passage it is cited to."
    )
    cites_gold: float | None = Field(default=None, description="Share of answers that looked up a gold passage.")
    wrong_lookups: int = Field(default=0, description="Answers that looked up no gold passage (number).")
    right_on_wrong_lookup: float | None = Field(
        default=None, description="Share of these that are right all the same: said from memory."
    )
    refused: int = Field(default=0, description="Questions that could not be asked, counted as wrong (number).")
    note: str = Field(default="", description="Why figures are missing.")


class CellResult(BaseModel):
    """One trained pair: what it is, what it found, how it learnt."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Name of the cell and of its folder.")
    group: str = Field(description="Name of what it has in common with its other seeds.")
    supervision: str = Field(description="How the pair was supervised.")
    nsp_weight: float | None = Field(description="Lambda; None where the supervision has none.")
    embseq: str = Field(description="Which choice of Embseq it is.")
    seed: int = Field(description="Seed of the run.")
    digest: str = Field(description="Digest of all that the result depends on.")
    sets: dict[str, SetFigures] = Field(description="Figures by set.")
    curves: dict[str, Curve] = Field(default_factory=dict, description="Points (step, value) of what was logged.")
    seconds: dict[str, float] = Field(default_factory=dict, description="Time of each phase, in seconds.")


class SetAbout(BaseModel):
    """What a set is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: Domain
    passages: int = Field(description="Passages that are searched (number).")
    questions: int = Field(description="Questions that are looked up (number).")


class Report(BaseModel):
    """A whole experiment; the cells stand in the order of the grid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    sets: dict[str, SetAbout]
    cells: list[CellResult]
    bm25: dict[str, SetFigures] = Field(default_factory=dict, description="BM25 on the same questions, by set.")
    failures: dict[str, str] = Field(default_factory=dict, description="Why a cell has no result, by its name.")
    settings: dict[str, Any] = Field(default_factory=dict, description="The experiment's settings.")
    made_with: dict[str, str] = Field(default_factory=dict, description="Versions and machine.")

    @property
    def groups(self) -> list[str]:
        """Names of all groups with a result, in the order of the grid."""
        return list(dict.fromkeys(cell.group for cell in self.cells))

    def of_group(self, group: str) -> list[CellResult]:
        """The cells of a group."""
        return [cell for cell in self.cells if cell.group == group]

    def spread(self, group: str, set_name: str, metric: str) -> "Spread | None":
        """A figure of a group over its seeds; None where it does not apply."""
        return spread_of([getattr(cell.sets[set_name], metric) for cell in self.of_group(group)])


class Spread(BaseModel):
    """A figure over seeds; `deviation` is the standard deviation of the sample, None for a single seed."""

    model_config = ConfigDict(frozen=True)

    mean: float
    deviation: float | None
    values: list[float]


def spread_of(values: Sequence[float | None]) -> Spread | None:
    """Mean and spread of the figures that are there; None where none is."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    return Spread(mean=fmean(there), deviation=stdev(there) if len(there) > 1 else None, values=there)
