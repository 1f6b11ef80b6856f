"""Which stages a supervision has, and what each of them minimises on what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from semiparametric.codec import Codec
from semiparametric.errors import InputError
from training.corpus import TrainingData, pretraining_sequences
from training.loss import Objective
from training.sequences import TrainingSequence
from training.settings import Stage, TrainSettings


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a run.

    Attributes:
        name: Its folder under `stages/`.
        stage: Its settings.
        objective: What it minimises.
        reads: The corpus in blocks, whole examples, or only examples that look something up.
        by_text: Whether lookups are made with the text so far, encoded, instead of Gen's state.
        cut_share: Share of each batch that is cut after its first `[Ret]`.
        passage_tokens_in_ntp: Whether `L_NTP` counts passage tokens.
    """

    name: str
    stage: Stage
    objective: Objective
    reads: Literal["blocks", "examples", "lookups"]
    by_text: bool = False
    cut_share: float = 0.0
    passage_tokens_in_ntp: bool = False

    @property
    def setting(self) -> str:
        """The setting that the stage is described by."""
        return self.name if self.name in {"pretrain", "lookups"} else "co_supervision"


def plan(settings: TrainSettings) -> list[PlannedStage]:
    """The stages of a run in order, those of no steps included.

    `separate` spends what the last stage says twice: on Gen by `L_NTP` alone, then on the encoder by `L_NSP` alone.
    """
    ntp, nsp = Objective("ntp"), Objective("nsp")
    last = settings.co_supervision
    by_text = settings.supervision == "separate"
    pretrain = PlannedStage("pretrain", settings.pretrain, ntp, "blocks", passage_tokens_in_ntp=True)
    lookups = PlannedStage("lookups", settings.lookups, nsp, "lookups", by_text, cut_share=1.0)
    whole = {"cut_share": last.cut_share, "passage_tokens_in_ntp": last.passage_tokens_in_ntp}
    if by_text:
        gen = PlannedStage("gen", last, ntp, "examples", **whole)  # type: ignore[arg-type]
        encoder = PlannedStage("encoder", last, nsp, "lookups", by_text, cut_share=last.cut_share)
        return [pretrain, gen, lookups, encoder]
    if settings.supervision == "nsp-only":
        final = PlannedStage("co_supervision", last, nsp, "lookups", cut_share=last.cut_share)
    else:
        both = Objective("co-supervised", last.nsp_weight)
        final = PlannedStage("co_supervision", last, both, "examples", **whole)  # type: ignore[arg-type]
    return [pretrain, lookups, final]


def stage_sequences(
    planned: PlannedStage, settings: TrainSettings, data: TrainingData, codec: Codec
) -> Sequence[TrainingSequence]:
    """The training sequences of a stage.

    Raises:
        InputError: An example is wrong, none looks anything up, or there are fewer than one batch needs.
    """
    if planned.reads == "blocks":
        found: Sequence[TrainingSequence] = pretraining_sequences(
            data.passages.values(), codec, settings.pretrain, seed=settings.seed
        )
    else:
        found = data.sequences(data.train, codec, settings.max_tokens)
    if planned.reads == "lookups":
        found = [sequence for sequence in found if sequence.ret_positions]
        if not found:
            raise InputError(
                "no training example cites a passage, so there is nothing to look up",
                where=f"stage {planned.name}",
                remedy="Give segments a passage_id, or set the steps of the stage to 0",
            )
    if len(found) < planned.stage.batch_size:
        kind = "blocks of text" if planned.reads == "blocks" else "examples"
        raise InputError(
            f"{len(found)} {kind} are fewer than one batch of {planned.stage.batch_size}",
            where=f"setting {planned.setting}.batch_size",
            remedy=f"Choose at most {len(found)}",
        )
    return found
