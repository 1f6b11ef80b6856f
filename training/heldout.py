"""Checks on held-out examples: `L_NTP`, and recall of the first lookup over the whole corpus."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from semiparametric.embedding import padded, sequence_states
from training.batches import Collator
from training.model import CoSupervisedModel
from training.sequences import TrainingSequence

CHUNK = 64
"""Sequences of one forward pass; the figures do not depend on it."""


@dataclass(frozen=True)
class HeldOut:
    """Figures of one held-out set; `recall` maps k to the share of first lookups that find the gold passage in k."""

    ntp: float
    recall: Mapping[int, float]


class Checker:
    """Computes held-out figures of a model in training.

    Args:
        passage_tokens: Embseq's token ids of every passage of the corpus.
        collator: Pads held-out sequences.
    """

    def __init__(self, passage_tokens: Mapping[str, tuple[int, ...]], collator: Collator) -> None:
        rows: dict[tuple[int, ...], int] = {}
        self.row_of = {name: rows.setdefault(tokens, len(rows)) for name, tokens in passage_tokens.items()}
        self.tokens = list(rows)
        self.collator = collator

    @torch.inference_mode()
    def corpus_vectors(self, model: CoSupervisedModel) -> Tensor:
        """Sequence embeddings of all different passages, `[n, d]`."""
        order = sorted(range(len(self.tokens)), key=lambda row: len(self.tokens[row]))
        vectors = torch.empty(len(order), model.spec.dimension)
        for chunk in (order[start : start + 4 * CHUNK] for start in range(0, len(order), 4 * CHUNK)):
            ids, mask = padded([self.tokens[row] for row in chunk], self.collator.embseq_pad)
            device = model.embseq.device
            vectors[chunk] = model.sequence_vectors(ids.to(device), mask.to(device)).float().cpu()
        return vectors

    @torch.inference_mode()
    def check(
        self,
        model: CoSupervisedModel,
        sequences: Sequence[TrainingSequence],
        vectors: Tensor,
        ks: Sequence[int] = (1, 5),
    ) -> HeldOut:
        """Figures of one held-out set against the corpus vectors."""
        losses, counts, ranks = [], [], []
        device = model.gen.device
        for start in range(0, len(sequences), CHUNK):
            chunk = sequences[start : start + CHUNK]
            group = {key: value.to(device) for key, value in self.collator.group(chunk).items()}
            states = sequence_states(model.gen.base_model, group["ids"], group["mask"])
            counted = int((group["labels"][:, 1:] >= 0).sum())
            losses.append(float(model.next_token(states, group["labels"])) * counted)
            counts.append(counted)
            ranks += self._ranks(model, chunk, states, vectors)
        recall = {k: sum(rank < k for rank in ranks) / max(1, len(ranks)) for k in ks}
        return HeldOut(ntp=sum(losses) / max(1, sum(counts)), recall=recall)

    def _ranks(
        self, model: CoSupervisedModel, chunk: Sequence[TrainingSequence], states: Tensor, vectors: Tensor
    ) -> list[int]:
        """How many passages score above the gold one, for the first lookup of each sequence that has one."""
        looked_up = [(row, sequence) for row, sequence in enumerate(chunk) if sequence.ret_positions]
        flat = torch.tensor([row * states.shape[1] + sequence.ret_positions[0] for row, sequence in looked_up])
        if not looked_up:
            return []
        scores = model.query_vectors(states, flat.to(states.device)).float().cpu() @ vectors.T
        gold = torch.tensor([self.row_of[sequence.passages[0]] for _, sequence in looked_up])
        return (scores > scores.gather(1, gold[:, None])).sum(1).tolist()
