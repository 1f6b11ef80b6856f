"""The Hugging Face Trainer with narrow overrides: named loss terms, order, recall checks, chunks, safetensors."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from training import grad_cache
from training.batches import Collator, Sequences, WholeBatches
from training.distributed import is_main, shard_on_cpu, unsharded, whole_state
from training.heldout import Checker
from training.learner import Learner
from training.model import Batch, CoSupervisedModel
from training.nonfinite import stop_at
from training.sequences import TrainingSequence
from training.weights import WEIGHTS, load_weights, save_weights


class CoSupervisedTrainer(Trainer):
    """Trains a `CoSupervisedModel` for one stage.

    Args:
        learner: What is trained.
        args: The Trainer's own arguments.
        sequences: The stage's training sequences.
        collator: Makes batches of them.
        sampler: Their order.
        checker: Computes held-out figures.
        held_out: Named held-out sequences.
        grad_cache_batch: Rows that are computed at a time; None for all at once.
    """

    def __init__(
        self,
        learner: Learner,
        args: TrainingArguments,
        *,
        sequences: Sequences,
        collator: Collator,
        sampler: WholeBatches,
        checker: Checker,
        held_out: Mapping[str, Sequence[TrainingSequence]],
        grad_cache_batch: int | None = None,
    ) -> None:
        super().__init__(
            model=learner.model, args=args, train_dataset=sequences, eval_dataset=sequences, data_collator=collator
        )
        self.learner = learner
        self.sampler = sampler
        self.checker = checker
        self.held_out = held_out
        self.grad_cache_batch = grad_cache_batch
        self._terms: dict[str, list[float]] = defaultdict(list)
        self._tokens = [0, 0]
        self._examples: list[str] = []

    def create_accelerator_and_postprocess(self) -> None:
        """Shard on CPUs too, where accelerate would leave it: what a user of two processes tries is what many run."""
        super().create_accelerator_and_postprocess()
        if self.args.fsdp and not self.is_fsdp_enabled:
            shard_on_cpu(self.accelerator, self.args)
            self.is_fsdp_enabled = True

    def training_step(
        self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Tensor | int | None = None
    ) -> Tensor:
        """One part of a batch, in chunks where `grad_cache_batch` asks for them."""
        self._examples += inputs["batch"]["examples"]
        self._tokens = [kept + new for kept, new in zip(self._tokens, inputs["batch"]["tokens"], strict=True)]
        if self.grad_cache_batch is None:
            return super().training_step(model, inputs, num_items_in_batch)
        model.train()
        batch: Batch = self._prepare_inputs(inputs)["batch"]  # type: ignore[assignment]
        scale = 1 / self.current_gradient_accumulation_steps
        with self.compute_loss_context_manager():
            terms = grad_cache.backward(model, batch, chunk_rows=self.grad_cache_batch, scale=scale)
        self._keep(terms)
        return terms["loss"] * scale

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective; its terms are kept for the next log line."""
        outputs = model(**inputs)
        self._keep(outputs)
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of the terms since the last training log line, and the share of tokens that were padding."""
        if "loss" in logs:
            logs |= {name: sum(values) / len(values) for name, values in self._terms.items()}
            logs["padding"] = 1 - self._tokens[0] / max(1, self._tokens[1])
            self._terms.clear()
            self._tokens = [0, 0]
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Held-out `L_NTP` and recall of the first lookup over the whole corpus, for each held-out set."""
        model: CoSupervisedModel = self.accelerator.unwrap_model(self.model)
        model.eval()
        metrics: dict[str, float] = {}
        with self.compute_loss_context_manager(), unsharded(model):
            vectors = self.checker.corpus_vectors(model)
            for name, sequences in self.held_out.items():
                figures = self.checker.check(model, sequences, vectors)
                if self.checker.ntp:
                    metrics[f"eval_{name}_ntp"] = figures.ntp
                metrics |= {f"eval_{name}_recall@{k}": value for k, value in figures.recall.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def save_whole(self, path: Path) -> None:
        """Save all weights, also those that are sharded over the processes; every process must call this."""
        model = self.accelerator.unwrap_model(self.model)
        state = whole_state(model)
        if is_main():
            save_weights(model, path, only=self.learner.saved, state=state)

    def _keep(self, terms: Mapping[str, Tensor]) -> None:
        """Keep the terms for the log; they are those of all processes, so that all stop together at a NaN."""
        values = {name: float(value) for name, value in terms.items() if name != "loss"}
        for name, value in values.items():
            self._terms[name].append(value)
        if not all(math.isfinite(value) for value in values.values()):
            stop_at(Path(str(self.args.output_dir)), self.state.global_step + 1, values, self._examples)

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        """Clip, and stop before gradients that are not finite spoil the weights."""
        norm = super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]
        value = float(norm)
        if not math.isfinite(value):
            stop_at(Path(str(self.args.output_dir)), self.state.global_step + 1, {"grad_norm": value}, self._examples)
        self._examples.clear()
        return norm

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> torch.utils.data.Sampler[int]:
        return self.sampler

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save each tensor once; the Trainer's `save_file` refuses tied weights."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self.accelerator.unwrap_model(self.model), folder / WEIGHTS, only=self.learner.saved)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled:  # shards, which all processes read together
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        whole = self.accelerator.unwrap_model(model or self.model)
        load_weights(whole, Path(resume_from_checkpoint) / WEIGHTS, only=self.learner.saved)


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end: a killed run may leave half of one behind."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)
