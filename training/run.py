"""One training run: starting point, stages, the pair. A killed run goes on where its last checkpoint stands."""

import importlib.util
import json
import logging
import os
from pathlib import Path

import torch
from transformers import set_seed

from semiparametric.errors import InputError
from training.corpus import TrainingData, load_data
from training.distributed import is_main, processes, wait_for_all
from training.export import Log, claim, export, write_log
from training.learner import Learner, computes_on_cpu, make_learner
from training.settings import TrainSettings
from training.stage_trainer import stage_trainer
from training.stages import PlannedStage, plan
from training.trainer import last_whole_checkpoint
from training.weights import WEIGHTS, load_weights

logger = logging.getLogger(__name__)


def train(settings: TrainSettings) -> Path:
    """Train a pair and return its folder, `out/pair`.

    Run again after a kill, it resumes and ends with the same weights as an undisturbed run. Under torchrun every
    process calls this; rank 0 alone writes.

    Raises:
        InputError: A setting, a corpus or an example is wrong, `out` holds a run of other settings, or the loss stopped
            being a number.
        PairError: A base model cannot be loaded.
    """
    _check_tools(settings)
    with processes(on_cpu=computes_on_cpu(settings)):
        claim(settings)
        set_seed(settings.seed)
        if settings.threads:
            torch.set_num_threads(settings.threads)
        data = load_data(settings)
        learner = make_learner(settings, data.samples)
        log: Log = []
        for number, planned in enumerate(plan(settings)):
            if planned.stage.steps:
                lines = _run_stage(planned, settings, learner, data)
                log += [{"stage": float(number)} | line for line in lines]
                if settings.fsdp:  # its weights lie in shards, and the next stage shards anew
                    learner = make_learner(settings, data.samples)
                    load_weights(learner.model, _folder(planned, settings) / WEIGHTS, only=learner.saved)
                if planned.name == "pretrain" and _embseq_begins_as_gen(settings):
                    learner.start_from_gen()
        pair = settings.out / "pair"
        if is_main():
            write_log(log, settings.out)
            export(learner, pair)
        wait_for_all()
        return pair


def _check_tools(settings: TrainSettings) -> None:
    """Refuse at once what would fail after the models are loaded."""
    for name in settings.report_to:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"{name} is not installed", where="setting report_to", remedy=f"Install it with `pip install {name}`"
            )
    if settings.fsdp and int(os.environ.get("WORLD_SIZE", "1")) == 1:
        raise InputError(
            "there is one process, and nothing to shard over",
            where="setting fsdp",
            remedy="Start it with `torchrun --nproc-per-node N -m cosup train CONFIG.yaml`, or leave fsdp out",
        )


def _embseq_begins_as_gen(settings: TrainSettings) -> bool:
    """Whether Embseq has no start of its own.

    With adapters the base models stay as they are, so there is nothing to take over.
    """
    return settings.base_embseq is None and settings.supervision != "shared" and not settings.lora.rank


def _folder(planned: PlannedStage, settings: TrainSettings) -> Path:
    return settings.out / "stages" / planned.name


def _run_stage(planned: PlannedStage, settings: TrainSettings, learner: Learner, data: TrainingData) -> Log:
    """Train one stage, or take its result where an earlier run finished it; return its log lines."""
    folder = _folder(planned, settings)
    finished = folder / "finished.json"
    if finished.is_file():
        load_weights(learner.model, folder / WEIGHTS, only=learner.saved)
        return [{key: value for key, value in line.items() if key != "stage"} for line in _read_log(finished)]
    learner.prepare(planned.objective, by_text=planned.by_text)
    trainer = stage_trainer(planned, settings, learner, data, folder)
    checkpoint = last_whole_checkpoint(folder)
    logger.info("stage %s: %s", planned.name, f"goes on from {checkpoint.name}" if checkpoint else "begins")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_whole(folder / WEIGHTS)
    log: Log = list(trainer.state.log_history)
    if is_main():
        finished.write_text(json.dumps(log), "utf-8")
    wait_for_all()
    return log


def _read_log(path: Path) -> Log:
    log: Log = json.loads(path.read_text("utf-8"))
    return log
