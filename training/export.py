"""The run's folder: who owns it, what is written into it, and the pair at its end."""

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor
from transformers import PreTrainedModel

from semiparametric.errors import InputError
from semiparametric.pair import save_pair
from training.distributed import is_main, wait_for_all
from training.learner import Learner
from training.plot import plot_losses
from training.settings import TrainSettings

Log = list[dict[str, float]]


def claim(settings: TrainSettings) -> None:
    """Write the resolved settings into `out`, or see that the run there has the same ones.

    Raises:
        InputError: It has others.
    """
    said = settings.model_dump(mode="json", exclude={"out", "restart", "threads"})
    path = settings.out / "settings.yaml"
    if path.is_file() and not settings.restart:
        before = _defaults() | yaml.safe_load(path.read_text("utf-8"))
        changed = sorted(key for key in said.keys() | before.keys() if said.get(key) != before.get(key))
        if changed:
            raise InputError(
                f"it holds a run with other settings ({', '.join(changed)})",
                where=str(settings.out),
                remedy="Name another --out, or start over with --restart",
            )
    wait_for_all()  # every process has read it, now it may be written
    if is_main():
        if settings.restart:
            for name in ("stages", "pair"):
                shutil.rmtree(settings.out / name, ignore_errors=True)
        settings.out.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(said, sort_keys=False, allow_unicode=True), "utf-8")
    wait_for_all()


def write_log(log: Log, out: Path) -> None:
    """`log.json` and `loss.png` of all stages."""
    (out / "log.json").write_text(json.dumps(log, indent=1), "utf-8")
    plot_losses(log, out / "loss.png")


def export(learner: Learner, pair: Path) -> None:
    """Save the pair: adapters merged, models in bfloat16, projections in float32."""
    model, start = learner.model, learner.start
    embseq = None if model.spec.shared else _merged(learner, "embseq", model.embseq)
    query = None if model.query is None else _merged(learner, "query", model.query)
    projections: dict[str, Tensor] = {
        f"{side}.weight": projection.weight
        for side, projection in (("query", model.query_projection), ("sequence", model.sequence_projection))
        if projection is not None
    }
    save_pair(
        pair,
        gen_model=_merged(learner, "gen", model.gen).bfloat16(),
        gen_tokenizer=start.gen_tokenizer,
        embseq_model=None if embseq is None else embseq.bfloat16(),
        embseq_tokenizer=None if embseq is None else start.embseq_tokenizer,
        query_model=None if query is None else query.bfloat16(),
        query_tokenizer=None if query is None else start.embseq_tokenizer,
        projection=projections,
        spec=model.spec,
    )


def _merged(learner: Learner, name: str, model: PreTrainedModel) -> PreTrainedModel:
    if name not in learner.adapters:
        return model
    from training.lora import merge

    return merge(learner.adapters[name])


def _defaults() -> dict[str, Any]:
    """What settings mean that an older run did not know of."""
    optional = {name: field for name, field in TrainSettings.model_fields.items() if not field.is_required()}
    values = {name: field.get_default(call_default_factory=True) for name, field in optional.items()}
    dumped = TrainSettings.model_construct(**values).model_dump(mode="json", warnings=False)
    return {name: dumped[name] for name in optional.keys() - {"restart", "threads"}}
