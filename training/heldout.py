"""Checks on held-out examples: `L_NTP`, and recall of the first lookup over the whole corpus."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from semiparametric.batching import padded
from semiparametric.embedding import sequence_states
from training.batches import Collator
from training.model import CoSupervisedModel
from training.sequences import TrainingSequence

CHUNK = 64
"""Sequences of one forward pass; the figures do not depend on it."""


@dataclass(frozen=True)
class HeldOut:
    """Figures of one held-out set; `recall` maps k to the share of first lookups that find the gold passage in k.

    Of a model that learns one of the two alone, the other is left out: `ntp` is NaN, `recall` empty.
    """

    ntp: float
    recall: Mapping[int, float]


class Checker:
    """Computes held-out figures of a model in training.

    Args:
        passage_tokens: Embseq's token ids of every passage of the corpus.
        collator: Pads held-out sequences; where it has `query_tokens`, lookups are made with the text so far.
        ntp, recall: Which figures to compute.
    """

    def __init__(
        self,
        passage_tokens: Mapping[str, tuple[int, ...]],
        collator: Collator,
        *,
        ntp: bool = True,
        recall: bool = True,
    ) -> None:
        self.ntp = ntp
        self.recall = recall
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
        by_text = self.collator.query_tokens is not None
        for start in range(0, len(sequences), CHUNK):
            chunk = sequences[start : start + CHUNK]
            looked_up = [sequence for sequence in chunk if sequence.ret_positions]
            if self.recall and by_text:
                ranks += self._ranks(looked_up, self._text_queries(model, looked_up), vectors)
            if not self.ntp and by_text:
                continue
            group = {key: value.to(model.gen.device) for key, value in self.collator.group(chunk).items()}
            states = sequence_states(model.gen.base_model, group["ids"], group["mask"])
            if self.ntp:
                counted = int((group["labels"][:, 1:] >= 0).sum())
                losses.append(float(model.next_token(states, group["labels"])) * counted)
                counts.append(counted)
            if self.recall and not by_text:
                ranks += self._ranks(looked_up, _state_queries(model, chunk, states), vectors)
        recall = {k: sum(rank < k for rank in ranks) / max(1, len(ranks)) for k in ks} if self.recall else {}
        return HeldOut(ntp=sum(losses) / max(1, sum(counts)) if self.ntp else math.nan, recall=recall)

    def _text_queries(self, model: CoSupervisedModel, looked_up: Sequence[TrainingSequence]) -> Tensor:
        """Queries `[q, d]` of the text before the first lookup of each sequence."""
        if not looked_up:
            return torch.empty(0, model.spec.dimension)
        tokens = self.collator.query_tokens or {}
        ids, mask = padded([tokens[sequence.queries[0]] for sequence in looked_up], self.collator.embseq_pad)
        return model.text_vectors(ids.to(model.embseq.device), mask.to(model.embseq.device))

    def _ranks(self, looked_up: Sequence[TrainingSequence], queries: Tensor, vectors: Tensor) -> list[int]:
        """How many passages score above the gold one, for the first lookup of each sequence."""
        if not looked_up:
            return []
        scores = queries.float().cpu() @ vectors.T
        gold = torch.tensor([self.row_of[sequence.passages[0]] for sequence in looked_up])
        return (scores > scores.gather(1, gold[:, None])).sum(1).tolist()


def _state_queries(model: CoSupervisedModel, chunk: Sequence[TrainingSequence], states: Tensor) -> Tensor:
    """Queries `[q, d]`: Gen's states `[b, s, d]` at the first `[Ret]` of each sequence that has one."""
    width = states.shape[1]
    places = [row * width + one.ret_positions[0] for row, one in enumerate(chunk) if one.ret_positions]
    return model.query_vectors(states, torch.tensor(places, dtype=torch.long, device=states.device))
