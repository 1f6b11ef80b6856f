"""One training run: starting point, stages, the pair. A killed run goes on where its last checkpoint stands."""

import json
import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import safetensors.torch
import torch
import yaml
from transformers import TrainingArguments, set_seed

from semiparametric.codec import Codec
from semiparametric.errors import InputError
from semiparametric.pair import save_pair
from semiparametric.spec import PairSpec, PassageForm
from training.batches import Collator, NeighbourSampler, Sequences
from training.corpus import TrainingData, load_data, pretraining_sequences
from training.heldout import Checker
from training.model import CoSupervisedModel, Objective, Supervision
from training.plot import plot_losses
from training.scratch import Start, starting_point
from training.sequences import TrainingSequence
from training.settings import Stage, TrainSettings
from training.trainer import WEIGHTS, CoSupervisedTrainer, last_whole_checkpoint

logger = logging.getLogger(__name__)

STAGES: Mapping[str, Supervision] = {"pretrain": "ntp", "lookups": "nsp", "co_supervision": "co-supervised"}


def train(settings: TrainSettings) -> Path:
    """Train a pair and return its folder, `out/pair`.

    Run again after a kill, it resumes and ends with the same weights as an undisturbed run.

    Raises:
        InputError: A setting, a corpus or an example is wrong, or `out` holds a run of other settings.
        PairError: A base model cannot be loaded.
    """
    _claim(settings)
    set_seed(settings.seed)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    data = load_data(settings)
    start = starting_point(settings, data.samples)
    if _on_cpu(settings):
        # The backward pass of fused attention took a third of a step of short sequences, plain attention a tenth.
        start.gen.set_attn_implementation("eager")
        start.embseq.set_attn_implementation("eager")
    model = CoSupervisedModel(start.gen, start.embseq, _spec(settings, start), Objective("ntp"))
    log: list[dict[str, float]] = []
    for name in STAGES:
        if getattr(settings, name).steps:
            log += _run_stage(name, settings, start, model, data)
    (settings.out / "log.json").write_text(json.dumps(log, indent=1), "utf-8")
    plot_losses(log, settings.out / "loss.png")
    pair = settings.out / "pair"
    save_pair(
        pair,
        gen_model=start.gen.bfloat16(),
        gen_tokenizer=start.gen_tokenizer,
        embseq_model=start.embseq.bfloat16(),
        embseq_tokenizer=start.embseq_tokenizer,
        spec=model.spec,
    )
    return pair


def _claim(settings: TrainSettings) -> None:
    """Write the resolved settings into `out`, or see that the run there has the same ones."""
    said = settings.model_dump(mode="json", exclude={"out", "restart", "threads"})
    path = settings.out / "settings.yaml"
    if path.is_file() and not settings.restart:
        before = yaml.safe_load(path.read_text("utf-8"))
        changed = sorted(key for key in said.keys() | before.keys() if said.get(key) != before.get(key))
        if changed:
            raise InputError(
                f"it holds a run with other settings ({', '.join(changed)})",
                where=str(settings.out),
                remedy="Name another --out, or start over with --restart",
            )
    elif settings.out.exists() and settings.restart:
        for name in ("stages", "pair"):
            shutil.rmtree(settings.out / name, ignore_errors=True)
    settings.out.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(said, sort_keys=False, allow_unicode=True), "utf-8")


def _spec(settings: TrainSettings, start: Start) -> PairSpec:
    return PairSpec(
        control=start.control,
        prompt=settings.prompt,
        passage=PassageForm(template=settings.passage_template, max_tokens=settings.passage_max_tokens),
        pooling=settings.pooling,
        similarity=settings.similarity,
        temperature=settings.temperature,
        dimension=start.gen.config.hidden_size,
        training=settings.model_dump(mode="json", exclude={"out", "corpus", "train", "held_out", "restart", "threads"}),
    )


def _run_stage(
    name: str, settings: TrainSettings, start: Start, model: CoSupervisedModel, data: TrainingData
) -> list[dict[str, float]]:
    """Train one stage, or take its result where an earlier run finished it; return its log lines."""
    folder = settings.out / "stages" / name
    finished = folder / "finished.json"
    if finished.is_file():
        safetensors.torch.load_model(model, str(folder / WEIGHTS))
        return _read_log(finished)
    model.objective = Objective(STAGES[name], settings.co_supervision.nsp_weight if name == "co_supervision" else 1.0)
    trainer = _trainer(name, settings, start, model, data)
    checkpoint = last_whole_checkpoint(folder)
    logger.info("stage %s: %s", name, f"goes on from {checkpoint.name}" if checkpoint else "begins")
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    trainer.save_model()
    log = [{"stage": float(list(STAGES).index(name))} | line for line in trainer.state.log_history]
    finished.write_text(json.dumps(log), "utf-8")
    return log


def _on_cpu(settings: TrainSettings) -> bool:
    return settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available())


def _read_log(path: Path) -> list[dict[str, float]]:
    log: list[dict[str, float]] = json.loads(path.read_text("utf-8"))
    return log


def _trainer(
    name: str, settings: TrainSettings, start: Start, model: CoSupervisedModel, data: TrainingData
) -> CoSupervisedTrainer:
    stage: Stage = getattr(settings, name)
    codec = Codec(start.gen_tokenizer, model.spec)
    co_supervised = name == "co_supervision"
    passage_tokens = data.passage_tokens(start.embseq_tokenizer, model.spec)
    sequences = _stage_sequences(name, settings, data, codec)
    collator = Collator(
        passage_tokens,
        gen_pad=start.gen_tokenizer.pad_token_id,
        embseq_pad=start.embseq_tokenizer.pad_token_id,
        passage_tokens_in_ntp=name == "pretrain" or (co_supervised and settings.co_supervision.passage_tokens_in_ntp),
        cut_share=settings.co_supervision.cut_share if co_supervised else float(name == "lookups"),
    )
    places = [
        data.places[sequence.passages[0]] if sequence.passages else -1 - i for i, sequence in enumerate(sequences)
    ]
    held_out = {
        label: data.sequences(examples, codec, settings.max_tokens) for label, examples in data.held_out.items()
    }
    whole = Collator(
        passage_tokens,
        gen_pad=collator.gen_pad,
        embseq_pad=collator.embseq_pad,
        passage_tokens_in_ntp=settings.co_supervision.passage_tokens_in_ntp,
    )
    return CoSupervisedTrainer(
        model,
        _arguments(stage, settings, settings.out / "stages" / name),
        sequences=Sequences(sequences),
        collator=collator,
        sampler=NeighbourSampler(places, run=1 if name == "pretrain" else settings.neighbours, seed=settings.seed),
        checker=Checker({name: passage_tokens[name] for name in data.searched(settings.held_out_passages)}, whole),
        held_out=held_out,
    )


def _stage_sequences(
    name: str, settings: TrainSettings, data: TrainingData, codec: Codec
) -> Sequence[TrainingSequence]:
    if name == "pretrain":
        return pretraining_sequences(data.passages.values(), codec, settings.pretrain, seed=settings.seed)
    sequences = data.sequences(data.train, codec, settings.max_tokens)
    return sequences if name == "co_supervision" else [sequence for sequence in sequences if sequence.ret_positions]


def _arguments(stage: Stage, settings: TrainSettings, folder: Path) -> TrainingArguments:
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(settings.out / "tensorboard" / folder.name)
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=stage.steps,
        per_device_train_batch_size=stage.batch_size,
        learning_rate=stage.learning_rate,
        warmup_steps=stage.warmup_steps,
        weight_decay=stage.weight_decay,
        lr_scheduler_type=stage.scheduler,
        max_grad_norm=1.0,
        bf16=settings.bf16,
        use_cpu=_on_cpu(settings),
        seed=settings.seed,
        eval_strategy="steps" if settings.held_out else "no",
        eval_steps=settings.eval_steps,
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=settings.log_steps,
        remove_unused_columns=False,
        dataloader_drop_last=True,
        report_to=["tensorboard"],
        dataloader_pin_memory=False,
    )
