"""The settings of `cosup train`: one run makes one pair, in up to three stages."""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from semiparametric.settings import Settings
from semiparametric.spec import Pooling, PromptForm, Similarity

Supervised = Literal["co-supervised", "separate", "nsp-only", "shared"]
Encoder = Literal["shared", "dual"]
Gathering = Literal["none", "sequences", "all"]
Report = Literal["tensorboard", "wandb"]


class ScratchModel(BaseModel):
    """Gen's shape, and Embseq's, where they start from scratch: Llama architecture, byte-level BPE tokenizer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int = Field(default=8192, ge=300, description="Tokens of the tokenizer trained on the corpus.")
    tokenizer_passages: int = Field(
        default=10_000,
        ge=1,
        description="Passages of each corpus file, from its start, that the tokenizer learns from.",
    )
    hidden_size: int = Field(default=256, ge=8, description="Width of the states; also the embedding dimension.")
    intermediate_size: int = Field(default=1024, ge=8, description="Width of the feed-forward layers.")
    gen_layers: int = Field(default=4, ge=1, description="Layers of Gen.")
    embseq_layers: int = Field(
        default=4, ge=1, description="Layers of Embseq, at most Gen's: it starts as the first of them."
    )
    heads: int = Field(default=4, ge=1, description="Attention heads.")
    averaging_layers: int = Field(
        default=1,
        ge=0,
        description="First layers whose attention starts as the average of what it sees, so that lookups begin by "
        "comparing words; 0: random like the others.",
    )
    context_length: int = Field(default=1024, ge=64, description="Positions that Gen can tell apart, in tokens.")


class Stage(BaseModel):
    """One stage of training."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=0, ge=0, description="Optimiser steps; 0 leaves the stage out.")
    batch_size: int = Field(default=64, ge=1, description="Sequences (pretrain) or examples of one step.")
    learning_rate: float = Field(default=5e-4, gt=0, description="Peak learning rate of AdamW.")
    warmup_steps: int = Field(default=100, ge=0, description="Steps of linear warm-up.")
    weight_decay: float = Field(default=0.01, ge=0, description="Weight decay of AdamW.")
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = Field(
        default="linear", description="What the learning rate does after the warm-up."
    )


class Pretraining(Stage):
    """The stage that minimises `L_NTP` on the text of the corpus."""

    block_tokens: int = Field(default=256, ge=8, description="Tokens of one block of text.")
    repeat_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Share of blocks that end with a stretch of their own text, so that Gen learns early to copy.",
    )


class CoSupervision(Stage):
    """The stage that minimises `L_NTP + nsp_weight * L_NSP` (paper, section 3)."""

    nsp_weight: float = Field(default=0.01, ge=0, description="Lambda, the weight of L_NSP beside L_NTP.")
    passage_tokens_in_ntp: bool = Field(
        default=True, description="Whether L_NTP counts the tokens of looked-up passages (the authors' default)."
    )
    cut_share: float = Field(
        default=0.0, ge=0, le=1, description="Share of a batch cut after its first [Ret]: cheap negatives for L_NSP."
    )


class LoraSettings(BaseModel):
    """Low-rank adapters instead of all weights; the saved pair holds them merged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=0, ge=0, description="Rank of the adapters; 0 trains all weights.")
    alpha: float = Field(default=32.0, gt=0, description="Scale of the adapters: their product counts alpha / rank.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of an adapter's inputs dropped in training.")
    target_modules: list[str] | None = Field(
        default=None, description="Names of the layers that get adapters; none: every linear layer but the head."
    )
    load_in_4bit: bool = Field(
        default=False, description="Load the base models in 4 bits (QLoRA); needs a GPU and bitsandbytes."
    )

    @model_validator(mode="after")
    def _four_bits_need_adapters(self) -> Self:
        if self.load_in_4bit and not self.rank:
            raise ValueError("load_in_4bit trains adapters only: set rank, for example 16")
        return self


class TrainSettings(Settings):
    """Settings of one training run."""

    out: Path = Field(description="Folder of the run: checkpoints, logs, loss.png and the pair in pair/.")
    corpus: list[Path] = Field(min_length=1, description="Corpus files (.jsonl, .jsonl.gz) that examples cite.")
    train: list[Path] = Field(min_length=1, description="Example files to train on.")
    held_out: dict[str, Path] = Field(
        default_factory=dict, description="Named example files for the checks on the way."
    )
    held_out_limit: int = Field(default=500, ge=1, description="Examples of each held-out file that are used.")
    held_out_passages: int | None = Field(
        default=None,
        ge=1,
        description="Passages that the checks search, from the start of the corpus, and the gold ones; none: all.",
    )
    base_gen: str | None = Field(
        default=None, description="Local or hub model that Gen starts from; none: from scratch."
    )
    base_embseq: str | None = Field(
        default=None, description="Model that Embseq starts from; none: from Gen, as it is after any pretraining."
    )
    scratch: ScratchModel = ScratchModel()
    supervision: Supervised = Field(
        default="co-supervised",
        description="co-supervised: Gen by both losses; separate: Gen by L_NTP, then an encoder of the text so far by "
        "L_NSP; nsp-only: L_NSP alone; shared: both losses, and one model is Gen and Embseq.",
    )
    encoder: Encoder = Field(
        default="shared",
        description="With supervision separate: whether one encoder reads passages and the text so far (shared), or "
        "each has its own (dual).",
    )
    prompt: PromptForm = PromptForm()
    passage_template: str = Field(default="{title} :: {text}", description="How a passage is shown to both models.")
    passage_max_tokens: int = Field(default=256, ge=8, description="Tokens of a passage that are read.")
    max_tokens: int = Field(default=1024, ge=32, description="Tokens of a training sequence at the most.")
    pooling: Pooling = Field(default="last_token", description="How Embseq's states become one vector.")
    similarity: Similarity = Field(default="dot", description="dot product, or cosine divided by the temperature.")
    temperature: float = Field(default=1.0, gt=0, description="Divisor of a score before the softmax of L_NSP.")
    dimension: int | None = Field(
        default=None,
        ge=1,
        description="Length of query states and sequence embeddings; none: Gen's hidden size. A side of another size "
        "gets a learnt projection.",
    )
    leading_dimensions: list[int] = Field(
        default_factory=list,
        description="Shorter lengths at which the first dimensions are trained to serve alone (Matryoshka), ascending.",
    )
    gather: Gathering = Field(
        default="sequences",
        description="Negatives from the other processes of a run: none, their sequences (gradient for the own ones), "
        "or all (gradient for all: the result of one process).",
    )
    grad_cache_batch: int | None = Field(
        default=None,
        ge=1,
        description="Rows that are computed at a time, so that memory does not grow with the batch (GradCache); none: "
        "all at once.",
    )
    hard_negatives: int = Field(
        default=0, ge=0, description="Hard negatives of each lookup that join its batch, from the example file."
    )
    neighbours: int = Field(
        default=1,
        ge=1,
        description="Examples in a row of a batch whose passages are neighbours in the corpus: hard negatives.",
    )
    pretrain: Pretraining = Pretraining()
    lookups: Stage = Stage()
    co_supervision: CoSupervision = CoSupervision(steps=1000)
    seed: int = Field(default=0, ge=0, description="Seed of weights, order and everything else.")
    gradient_accumulation: int = Field(
        default=1, ge=1, description="Parts that a batch is computed in; negatives come from the own part."
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Compute states again in the backward pass instead of keeping them: less memory."
    )
    lora: LoraSettings = LoraSettings()
    fsdp: bool = Field(
        default=False, description="Under torchrun, shard weights and optimiser over the processes instead of copying."
    )
    bf16: bool = Field(default=False, description="Compute in bfloat16 (worth it on a GPU or a CPU with AMX).")
    device: Literal["auto", "cpu", "cuda"] = Field(default="auto", description="Where to train.")
    threads: int | None = Field(default=None, ge=1, description="CPU threads; none: all.")
    eval_steps: int = Field(default=500, ge=1, description="Steps between checks on the held-out examples.")
    save_steps: int = Field(default=500, ge=1, description="Steps between checkpoints.")
    log_steps: int = Field(default=10, ge=1, description="Steps between log lines.")
    report_to: list[Report] = Field(default=["tensorboard"], description="Where the Trainer reports its log lines to.")
    restart: bool = Field(default=False, description="Begin anew although the folder holds a run of other settings.")

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        sizes = self.leading_dimensions
        if sizes != sorted(set(sizes)) or min(sizes, default=1) < 1:
            raise ValueError(f"leading_dimensions must be positive and ascending, not {sizes}")
        full = self.dimension or (self.scratch.hidden_size if self.base_gen is None else None)
        if sizes and full is not None and sizes[-1] >= full:
            raise ValueError(f"leading_dimensions must lie below the dimension {full}, not {sizes}")
        if self.encoder == "dual" and self.supervision != "separate":
            raise ValueError("encoder: dual goes with supervision: separate")
        if self.pooling == "last_position":
            raise ValueError("pooling: last_position serves imported pairs; train with last_token or mean")
        uneven = [
            name
            for name in ("pretrain", "lookups", "co_supervision")
            if getattr(self, name).batch_size % self.gradient_accumulation
        ]
        if uneven:
            raise ValueError(
                f"batch_size of {' and '.join(uneven)} must be a multiple of "
                f"gradient_accumulation={self.gradient_accumulation}"
            )
        if self.supervision == "shared" and self.base_embseq is not None:
            raise ValueError("supervision: shared trains one model, so base_embseq must be left out")
        return self
