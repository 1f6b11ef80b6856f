"""Gen and Embseq as one trainable module that returns the named terms of the objective."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from semiparametric.embedding import as_vector, pool, sequence_states
from semiparametric.spec import PairSpec
from training.loss import next_sequence_loss, next_token_loss

Supervision = Literal["ntp", "nsp", "co-supervised"]


@dataclass(frozen=True)
class Objective:
    """Which losses count, and how much."""

    supervision: Supervision
    nsp_weight: float = 1.0


class CoSupervisedModel(nn.Module):
    """Gen and Embseq side by side.

    Args:
        gen: A causal language model.
        embseq: The model whose pooled states are the sequence embeddings, of Gen's hidden size.
        spec: How states are pooled and compared.
        objective: What to minimise.
    """

    def __init__(self, gen: PreTrainedModel, embseq: PreTrainedModel, spec: PairSpec, objective: Objective) -> None:
        super().__init__()
        self.gen = gen
        self.embseq = embseq
        self.spec = spec
        self.objective = objective

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """The loss and its terms.

        Args:
            batch: From `training.batches`: `groups`, each with `ids`, `mask`, `labels` `[b, s]` and the flat positions
                `rets` `[q]` of its `[Ret]`s; `passages`, parts with `ids` and `mask` `[p, t]`; `targets` `[q]`, the row
                of each query's passage, counted over all parts.
        """
        wanted = self.objective.supervision
        ntp, queries = self._gen_terms(batch["groups"])
        if wanted == "ntp":
            return {"loss": ntp, "ntp": ntp.detach()}
        parts = [self.sequence_vectors(part["ids"], part["mask"]) for part in batch["passages"]]
        sequences = torch.cat(parts) if parts else queries.new_empty(0, self.spec.dimension)
        nsp = next_sequence_loss(queries, sequences, batch["targets"], temperature=self.spec.temperature)
        loss = nsp.loss if wanted == "nsp" else ntp + self.objective.nsp_weight * nsp.loss
        return {"loss": loss, "ntp": ntp.detach(), "nsp": nsp.loss.detach(), "accuracy": nsp.accuracy}

    def sequence_vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embseq's vectors of padded passages, `[p, d]`."""
        return as_vector(pool(sequence_states(self.embseq, ids, mask), mask, self.spec.pooling), self.spec)

    def query_vectors(self, states: Tensor, rets: Tensor) -> Tensor:
        """Gen's states at the flat positions of `[Ret]`, `[q, d]`, as they are compared."""
        return as_vector(states.reshape(-1, states.shape[-1])[rets], self.spec)

    def next_token(self, states: Tensor, labels: Tensor) -> Tensor:
        """`L_NTP` of one padded group."""
        return next_token_loss(states, labels, self.gen.get_output_embeddings())

    def _gen_terms(self, groups: list[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
        """`L_NTP` over all groups, and the query vectors `[q, d]` of all groups in order."""
        losses, counts, queries = [], [], []
        for group in groups:
            states = sequence_states(self.gen.base_model, group["ids"], group["mask"])
            counted = (group["labels"][:, 1:] >= 0).sum()
            if self.objective.supervision != "nsp" and int(counted):
                losses.append(self.next_token(states, group["labels"]))
                counts.append(counted)
            queries.append(self.query_vectors(states, group["rets"]))
        found = torch.cat(queries)
        if not losses:
            return found.sum() * 0.0, found
        weights = torch.stack(counts).float()
        return (torch.stack(losses) * weights).sum() / weights.sum(), found
