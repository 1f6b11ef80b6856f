"""The order that a cell's process gets, as `cell.json` in its folder, and the digests that tell old from new."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from cosup.experiment.data import Digests, digest_of
from cosup.experiment.grid import Cell
from cosup.experiment.settings import Decoding, EvaluationSet, ExperimentSettings
from evaluation.results import CellResult

ORDER, RESULT, LOG = "cell.json", "result.json", "log.txt"

_RESULT_FORMAT = 1


class Order(BaseModel):
    """One cell: train it, measure it on each set, write `result.json`.

    training_digest: of all that the pair depends on: training settings and the content of the files they name.
    digest: of all that the result depends on: that, the sets with their content, and the limits of answers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    group: str
    embseq: str
    supervision: str
    nsp_weight: float | None
    train: dict[str, Any] = Field(description="Resolved settings of `cosup train`.")
    sets: dict[str, EvaluationSet]
    decoding: Decoding
    keep: bool
    training_digest: str
    digest: str


def order_of(cell: Cell, settings: ExperimentSettings, digests: Digests) -> Order:
    """The order of a cell, with its digests."""
    train = cell.train.model_dump(mode="json")
    read = [*cell.train.corpus, *cell.train.train, *cell.train.held_out.values()]
    said = {name: value for name, value in train.items() if name not in {"out", "restart", "threads"}}
    training_digest = digest_of({"settings": said, "files": [digests.of_file(path) for path in read]})
    sets = {name: one.model_dump(mode="json") for name, one in cell.sets.items()}
    files = [digests.of_file(path) for one in cell.sets.values() for path in (one.corpus, one.examples)]
    told = {
        "format": _RESULT_FORMAT,
        "training": training_digest,
        "sets": sets,
        "files": files,
        "decoding": settings.decoding.model_dump(mode="json"),
    }
    return Order(
        name=cell.name,
        group=cell.group,
        embseq=cell.embseq,
        supervision=cell.train.supervision,
        nsp_weight=cell.nsp_weight,
        train=train,
        sets=dict(cell.sets),
        decoding=settings.decoding,
        keep=settings.keep,
        training_digest=training_digest,
        digest=digest_of(told),
    )


def read_result(folder: Path, order: Order) -> CellResult | None:
    """The result of exactly this order, or None where there is none or it is of other settings."""
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        result = CellResult.model_validate_json(path.read_bytes())
    except ValueError:  # written by another version
        return None
    if result.digest != order.digest:
        return None
    # How groups are called may change without a change of what was trained.
    return result.model_copy(update={"group": order.group, "embseq": order.embseq})
