"""The two sides of `benchmarks.training`: a step as `cosup train` does it, and as the authors' code does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.training_scene import PAD, collated, moved
from semiparametric.batching import padded
from training.loss import IGNORED
from training.model import CoSupervisedModel
from training.sequences import ANSWER, PASSAGE, TrainingSequence

Step = Callable[[], float]


@dataclass(frozen=True)
class Work:
    """A batch before it is padded, and where it is computed."""

    sequences: Sequence[TrainingSequence]
    passages: dict[str, tuple[int, ...]]
    passage_tokens_in_ntp: bool
    device: str = "cpu"
    bf16: bool = False

    @property
    def tokens(self) -> int:
        """Tokens that are read, by Gen and by Embseq, padding aside."""
        return sum(len(sequence.ids) for sequence in self.sequences) + sum(map(len, self.passages.values()))


def our_step(model: CoSupervisedModel, work: Work) -> Step:
    """Length buckets, and logits only where a label counts."""
    batch = moved(
        collated(list(work.sequences), work.passages, passage_tokens_in_ntp=work.passage_tokens_in_ntp), work.device
    )
    return _step(model, work, lambda: model(batch)["loss"])


def authors_step(model: CoSupervisedModel, work: Work) -> Step:
    """All rows padded to the longest, two full forward passes, logits at each position, a passage for each lookup.

    Written anew from what the authors' code does (their prints, and labels that count padding, are left out).
    """
    ids, mask = (tensor.to(work.device) for tensor in padded([each.ids for each in work.sequences], PAD))
    counted = {ANSWER, PASSAGE} if work.passage_tokens_in_ntp else {ANSWER}
    labels = torch.full_like(ids, IGNORED)
    for row, sequence in enumerate(work.sequences):
        for place, (token, kind) in enumerate(zip(sequence.ids, sequence.kinds, strict=True)):
            if kind in counted:
                labels[row, place] = token
    wanted = [work.passages[name] for sequence in work.sequences for name in sequence.passages]
    passages, passage_mask = (tensor.to(work.device) for tensor in padded(wanted, PAD))
    rets = [(row, place) for row, sequence in enumerate(work.sequences) for place in sequence.ret_positions]
    rows, places = torch.tensor(rets, device=work.device).T

    def loss() -> Tensor:
        states = model.gen.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        logits = model.gen.get_output_embeddings()(states).float()
        ntp = F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))
        found = model.embseq(input_ids=passages, attention_mask=passage_mask, use_cache=False).last_hidden_state
        vectors = found[torch.arange(len(wanted)), passage_mask.sum(1) - 1]
        scores = states[rows, places].float() @ vectors.float().T
        nsp = F.cross_entropy(scores, torch.arange(len(wanted), device=work.device))
        return ntp + model.objective.nsp_weight * nsp

    return _step(model, work, loss)


SIDES: dict[str, Callable[[CoSupervisedModel, Work], Step]] = {"ours": our_step, "authors": authors_step}


def _step(model: CoSupervisedModel, work: Work, loss: Callable[[], Tensor]) -> Step:
    """Forward, backward, clipping and AdamW; at a learning rate of zero each round computes the same loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, weight_decay=0.0)

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast(work.device, torch.bfloat16, enabled=work.bf16):
            found = loss()
        found.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(found.detach())  # on a GPU this also waits for the step to end

    return step
