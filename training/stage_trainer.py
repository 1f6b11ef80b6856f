"""A stage as a Trainer: its sequences, their order and padding, the checks on the way, the Trainer's arguments."""

import os
from itertools import chain
from pathlib import Path

from transformers import TrainingArguments

from semiparametric.codec import Codec
from training.batches import Collator, NeighbourSampler, Sequences, Tokens, WholeBatches
from training.corpus import TrainingData
from training.distributed import sharding, share
from training.heldout import Checker
from training.learner import Learner, computes_on_cpu
from training.settings import TrainSettings
from training.stages import PlannedStage, stage_sequences
from training.trainer import CoSupervisedTrainer


def stage_trainer(
    planned: PlannedStage, settings: TrainSettings, learner: Learner, data: TrainingData, folder: Path
) -> CoSupervisedTrainer:
    """The Trainer of a stage, ready to train or to resume in `folder`.

    Raises:
        InputError: The stage has no examples, a wrong one, or a batch that the processes cannot share.
    """
    stage, spec = planned.stage, learner.model.spec
    size = share(stage.batch_size, settings.gradient_accumulation)
    codec = Codec(learner.start.gen_tokenizer, spec)
    sequences = stage_sequences(planned, settings, data, codec)
    held_out = {name: data.sequences(examples, codec, settings.max_tokens) for name, examples in data.held_out.items()}
    tokenizer = learner.start.embseq_tokenizer
    passage_tokens = data.passage_tokens(tokenizer, spec)
    query_tokens = None
    if planned.by_text:
        query_tokens = data.query_tokens(chain(sequences, *held_out.values()), tokenizer, spec)
    places = [
        data.places[sequence.passages[0]] if sequence.passages else -1 - i for i, sequence in enumerate(sequences)
    ]
    return CoSupervisedTrainer(
        learner,
        _arguments(planned, settings, learner, folder, size),
        sequences=Sequences(sequences),
        collator=_collator(planned, settings, learner, passage_tokens, query_tokens),
        sampler=WholeBatches(
            NeighbourSampler(places, run=1 if planned.reads == "blocks" else settings.neighbours, seed=settings.seed),
            batch_size=stage.batch_size,
            parts=stage.batch_size // size,
            cut_share=planned.cut_share,
        ),
        checker=_checker(planned, settings, learner, data, passage_tokens, query_tokens),
        held_out=held_out,
        grad_cache_batch=settings.grad_cache_batch,
    )


def _collator(
    planned: PlannedStage,
    settings: TrainSettings,
    learner: Learner,
    passage_tokens: dict[str, Tokens],
    query_tokens: dict[str, Tokens] | None,
) -> Collator:
    return Collator(
        passage_tokens,
        gen_pad=learner.start.gen_tokenizer.pad_token_id,
        embseq_pad=learner.start.embseq_tokenizer.pad_token_id,
        passage_tokens_in_ntp=planned.passage_tokens_in_ntp,
        query_tokens=query_tokens,
        hard_negatives=settings.hard_negatives,
        with_passages=planned.objective.trains_lookups,
    )


def _checker(
    planned: PlannedStage,
    settings: TrainSettings,
    learner: Learner,
    data: TrainingData,
    passage_tokens: dict[str, Tokens],
    query_tokens: dict[str, Tokens] | None,
) -> Checker:
    """Checks on the way; where Gen and the encoder are trained apart, of what the stage trains alone."""
    whole = Collator(
        passage_tokens,
        gen_pad=learner.start.gen_tokenizer.pad_token_id,
        embseq_pad=learner.start.embseq_tokenizer.pad_token_id,
        passage_tokens_in_ntp=settings.co_supervision.passage_tokens_in_ntp,
        query_tokens=query_tokens,
    )
    apart = learner.model.spec.query == "text"
    searched = data.searched(settings.held_out_passages)
    return Checker(
        {name: tokens for name, tokens in passage_tokens.items() if name in searched},
        whole,
        ntp=not apart or not planned.by_text,
        recall=not apart or planned.by_text,
    )


def _arguments(
    planned: PlannedStage, settings: TrainSettings, learner: Learner, folder: Path, size: int
) -> TrainingArguments:
    stage = planned.stage
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(settings.out / "tensorboard" / planned.name)
    return TrainingArguments(
        output_dir=str(folder),
        run_name=f"{settings.out.name}-{planned.name}",
        max_steps=stage.steps,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=stage.learning_rate,
        warmup_steps=stage.warmup_steps,
        weight_decay=stage.weight_decay,
        lr_scheduler_type=stage.scheduler,
        max_grad_norm=1.0,
        bf16=settings.bf16,
        use_cpu=computes_on_cpu(settings),
        seed=settings.seed,
        eval_strategy="steps" if settings.held_out else "no",
        eval_steps=settings.eval_steps,
        save_steps=settings.save_steps,
        save_total_limit=2,
        logging_steps=settings.log_steps,
        remove_unused_columns=False,
        dataloader_drop_last=True,
        report_to=list(settings.report_to),
        dataloader_pin_memory=False,
        ddp_find_unused_parameters=False,  # `Learner.prepare` freezes what the loss does not reach
        fsdp=settings.fsdp,  # type: ignore[arg-type]
        fsdp_config=sharding(learner.model) if settings.fsdp else None,
    )
