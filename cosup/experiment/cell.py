"""One cell in a process of its own: `python -m cosup.experiment.cell FOLDER` trains a pair and measures it.

A process of its own gives its memory back, and takes nobody with it when it dies. What it has done already is kept: a
run goes on from its checkpoint, and a trained pair is measured again without training where only the sets changed.
"""

import fcntl
import json
import logging
import math
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from pydantic import BaseModel

from cosup.experiment.order import ORDER, RESULT, Order
from cosup.experiment.settings import EvaluationSet
from evaluation.results import CellResult, Curve, SetFigures
from semiparametric.errors import BusyError, CosupError
from semiparametric.replacing import write_whole
from training.settings import TrainSettings

logger = logging.getLogger(__name__)

PHASE = "phase:"
"""Begins the lines of the log that say how far the cell is."""

_STEP = 10  # questions between two such lines


class Trained(BaseModel):
    """`trained.json`: the pair of the cell is whole, and of which settings."""

    training_digest: str
    seconds: float
    curves: dict[str, Curve]


def run_cell(folder: Path) -> CellResult:
    """Carry out the order in a folder.

    Raises:
        BusyError: Another process works in the folder.
        CosupError: Training, the index or a set is wrong; the message says which.
    """
    order = Order.model_validate_json((folder / ORDER).read_bytes())
    with _lock(folder):
        trained = _train(order, folder)
        started = perf_counter()
        indexes = _indexes(order, folder)
        indexed = perf_counter()
        sets = {name: _measure(order, folder, name, one, indexes[one.corpus]) for name, one in order.sets.items()}
        seconds = {"training": trained.seconds, "indexing": indexed - started, "asking": perf_counter() - indexed}
        result = CellResult(
            name=order.name,
            group=order.group,
            supervision=order.supervision,
            nsp_weight=order.nsp_weight,
            embseq=order.embseq,
            seed=order.train["seed"],
            digest=order.digest,
            sets=sets,
            curves=trained.curves,
            seconds={phase: round(spent, 1) for phase, spent in seconds.items()},
        )
        write_whole(folder / RESULT, result.model_dump_json(indent=1) + "\n")
        if not order.keep:
            shutil.rmtree(folder / "indexes", ignore_errors=True)
            shutil.rmtree(folder / "train" / "stages", ignore_errors=True)
    return result


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BusyError(
                "another process works on this cell", where=str(folder), remedy="Wait for it, or end it"
            ) from error
        yield


def _train(order: Order, folder: Path) -> Trained:
    """Train the pair, or go on with it, or take the one that is there, whichever its settings allow."""
    record, claim, run = folder / "trained.json", folder / "training_digest", folder / "train"
    if record.is_file() and (run / "pair" / "pair.json").is_file():
        trained = Trained.model_validate_json(record.read_bytes())
        if trained.training_digest == order.training_digest:
            return trained
    from training.run import train

    record.unlink(missing_ok=True)
    if not claim.is_file() or claim.read_text("utf-8") != order.training_digest:
        shutil.rmtree(run, ignore_errors=True)  # of other settings, or of other data
        shutil.rmtree(folder / "indexes", ignore_errors=True)
        claim.write_text(order.training_digest, "utf-8")
    logger.info("%s training", PHASE)
    started = perf_counter()
    train(TrainSettings.resolve(order.train))
    trained = Trained(
        training_digest=order.training_digest,
        seconds=perf_counter() - started,
        curves=curves_of(json.loads((run / "log.json").read_text("utf-8"))),
    )
    write_whole(record, trained.model_dump_json())
    return trained


def curves_of(log: list[dict[str, float]]) -> dict[str, Curve]:
    """The log lines of all stages as curves over steps that are counted through."""
    curves: dict[str, Curve] = {}
    base = last = 0.0
    stage = log[0].get("stage", 0.0) if log else 0.0
    for line in log:
        if line.get("stage", stage) != stage:
            stage, base = line["stage"], last
        last = base + line.get("step", 0.0)
        for name, value in line.items():
            if (name in {"ntp", "nsp", "accuracy"} or name.startswith("eval_")) and math.isfinite(value):
                curves.setdefault(name, []).append((last, value))
    return curves


def _indexes(order: Order, folder: Path) -> dict[Path, Path]:
    """An index for each corpus; sets of one corpus share it."""
    from index_builder.build import build_index
    from index_builder.settings import BuildSettings

    pair = folder / "train" / "pair"
    built: dict[Path, Path] = {}
    for number, corpus in enumerate(dict.fromkeys(one.corpus for one in order.sets.values())):
        logger.info("%s index %s", PHASE, corpus)
        index = folder / "indexes" / str(number)
        shutil.rmtree(index, ignore_errors=True)  # of an earlier, other result
        build_index(BuildSettings(pair=pair, corpus=corpus, out=index, device=_device(order)))
        built[corpus] = index
    return built


def _measure(order: Order, folder: Path, name: str, one: EvaluationSet, index: Path) -> SetFigures:
    from evaluation.measure import asked, measure_pair
    from semiparametric.formats import read_examples
    from service.local import Ask, ModelSettings

    questions = asked(read_examples(one.examples), one.lookups, one.not_answers)
    writes = order.supervision != "nsp-only"
    figures = measure_pair(
        ModelSettings(pair=folder / "train" / "pair", index=index, device=_device(order)),
        questions,
        Ask("", **order.decoding.model_dump()),
        num_answered=one.answers if writes else 0,
        right_f1=one.right_f1,
        predictions=folder / f"predictions-{name}.jsonl",
        on_reply=_counter(name, len(questions)),
    )
    return figures if writes else figures.model_copy(update={"note": "trained for lookups alone, so it cannot write"})


def _counter(name: str, total: int) -> Callable[[], None]:
    """Logs how many questions are done."""
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        if done % _STEP == 0 or done == total:
            logger.info("%s questions of %s %d/%d", PHASE, name, done, total)

    return count


def _device(order: Order) -> str:
    """Where indexes are built and questions answered: where the pair was trained."""
    import torch

    return "cpu" if order.train["device"] == "cpu" or not torch.cuda.is_available() else "cuda"


def main(folder: Path) -> int:
    """The process of a cell; its exit code. The last line of its output says why, where it is not 0."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        run_cell(folder)
    except CosupError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
