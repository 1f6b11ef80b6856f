"""What a run does when its loss or its gradients are no longer numbers: it stops, and says where."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from semiparametric.errors import InputError
from training.distributed import from_all, is_main

SHOWN = 8


def stop_at(stage: Path, step: int, values: Mapping[str, float], examples: Sequence[str]) -> NoReturn:
    """Stop a stage before the step that would spoil the weights; every process must call this.

    The ids of all examples of the batch go into `nonfinite.json` beside the checkpoints, which are kept.

    Args:
        stage: The stage's folder.
        step: The step that was being computed, counted from 1.
        values: The terms by name.
        examples: Ids of this process's examples; empty for blocks of text.

    Raises:
        InputError: Always.
    """
    batch = from_all([example for example in examples if example])
    report = stage / "nonfinite.json"
    if is_main():
        stage.mkdir(parents=True, exist_ok=True)
        said = {"step": step, "values": {name: str(value) for name, value in values.items()}, "examples": batch}
        report.write_text(json.dumps(said, indent=1, ensure_ascii=False), "utf-8")
    wrong = ", ".join(f"{name} is {value}" for name, value in values.items() if value - value != 0)
    shown = ", ".join(batch[:SHOWN]) + (f" and {len(batch) - SHOWN} more" if len(batch) > SHOWN else "")
    checkpoints = sorted(stage.glob("checkpoint-*"), key=lambda path: int(path.name.removeprefix("checkpoint-")))
    kept = f"The last checkpoint, {checkpoints[-1]}, is kept. " if checkpoints else ""
    raise InputError(
        f"{wrong} (examples: {shown or 'blocks of the corpus'}; all in {report})",
        where=f"stage {stage.name}, step {step}",
        remedy=f"{kept}Look at these examples, or lower learning_rate or raise warmup_steps and begin with --restart",
    )
