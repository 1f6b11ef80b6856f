"""The Hugging Face Trainer with narrow overrides: named loss terms, neighbour order, recall checks, safetensors."""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import Trainer, TrainingArguments

from training.batches import Collator, NeighbourSampler, Sequences
from training.heldout import Checker
from training.model import CoSupervisedModel
from training.sequences import TrainingSequence

logger = logging.getLogger(__name__)

WEIGHTS = "model.safetensors"


class CoSupervisedTrainer(Trainer):
    """Trains a `CoSupervisedModel` for one stage.

    Args:
        model: What is trained.
        args: The Trainer's own arguments.
        sequences: The stage's training sequences.
        collator: Makes batches of them.
        sampler: Their order.
        checker: Computes held-out figures; none for a stage without lookups.
        held_out: Named held-out sequences.
    """

    def __init__(
        self,
        model: CoSupervisedModel,
        args: TrainingArguments,
        *,
        sequences: Sequences,
        collator: Collator,
        sampler: NeighbourSampler,
        checker: Checker,
        held_out: Mapping[str, Sequence[TrainingSequence]],
    ) -> None:
        super().__init__(
            model=model, args=args, train_dataset=sequences, eval_dataset=sequences, data_collator=collator
        )
        self.sampler = sampler
        self.checker = checker
        self.held_out = held_out
        self._terms: dict[str, list[float]] = defaultdict(list)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective; its terms are kept for the next log line."""
        outputs = model(**inputs)
        for name, value in outputs.items():
            if name != "loss":
                self._terms[name].append(float(value))
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means of the terms since the last training log line."""
        if "loss" in logs:
            logs |= {name: sum(values) / len(values) for name, values in self._terms.items()}
            self._terms.clear()
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Held-out `L_NTP` and recall of the first lookup over the whole corpus, for each held-out set."""
        model: CoSupervisedModel = self.accelerator.unwrap_model(self.model)
        model.eval()
        metrics: dict[str, float] = {}
        with self.compute_loss_context_manager():
            vectors = self.checker.corpus_vectors(model)
            for name, sequences in self.held_out.items():
                figures = self.checker.check(model, sequences, vectors)
                metrics[f"eval_{name}_ntp"] = figures.ntp
                metrics |= {f"eval_{name}_recall@{k}": value for k, value in figures.recall.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _get_train_sampler(self, train_dataset: Dataset[Any] | None = None) -> torch.utils.data.Sampler[int]:
        return self.sampler

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save with `save_model`, which knows tied weights; the Trainer's `save_file` refuses them."""
        folder = Path(output_dir or str(self.args.output_dir))
        folder.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_model(self.accelerator.unwrap_model(self.model), str(folder / WEIGHTS))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        safetensors.torch.load_model(
            model or self.accelerator.unwrap_model(self.model), str(Path(resume_from_checkpoint) / WEIGHTS)
        )


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end: a killed run may leave half of one behind."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return max(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), default=None)
