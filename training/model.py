"""Gen and Embseq as one trainable module that returns the named terms of the objective."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from semiparametric.embedding import as_vector, pool, sequence_states
from semiparametric.spec import PairSpec
from training.gather import Gather, gathered, in_step, num_ranks, total
from training.loss import (
    IGNORED,
    NextSequence,
    Objective,
    Supervision,
    counted_tokens,
    next_sequence_sum,
    next_token_loss,
    next_token_sum,
)

__all__ = ["Batch", "CoSupervisedModel", "Counts", "Objective", "Supervision", "projection"]

Batch = dict[str, Any]
"""See `CoSupervisedModel.forward`."""


@dataclass(frozen=True)
class Counts:
    """What the sums of a step are divided by: tokens that count and queries, over all ranks, at least one of each."""

    tokens: Tensor
    queries: Tensor


class CoSupervisedModel(nn.Module):
    """Gen and Embseq side by side.

    Args:
        gen: A causal language model.
        embseq: The model whose pooled states are the sequence embeddings; `gen.base_model` where one model is both.
        spec: How states are pooled and compared, and at which leading dimensions they shall serve too.
        objective: What to minimise.
        query: What encodes the text so far where a batch has `queries`, if that is not Embseq.
        query_projection, sequence_projection: Bring query states, and Embseq's pooled states, to `spec.dimension`. A
            side without one is used as it is. Embseq keeps its own where it encodes the text so far too.
        gather: What the queries of one rank are compared with, see `training.gather.gathered`.
    """

    def __init__(
        self,
        gen: PreTrainedModel,
        embseq: PreTrainedModel,
        spec: PairSpec,
        objective: Objective,
        *,
        query: PreTrainedModel | None = None,
        query_projection: nn.Linear | None = None,
        sequence_projection: nn.Linear | None = None,
        gather: Gather = "sequences",
    ) -> None:
        super().__init__()
        self.gen = gen
        self.embseq = embseq
        self.query = query
        self.query_projection = query_projection
        self.sequence_projection = sequence_projection
        self.spec = spec
        self.objective = objective
        self.gather = gather
        for name, weight in self.named_parameters():
            if ".pooler." in name:  # an encoder's own, which nothing here reads: DDP would wait for its gradient
                weight.requires_grad_(False)

    def forward(self, batch: Batch, only: Literal["vectors", "parts"] | None = None) -> dict[str, Tensor]:
        """The loss and its terms, or the parts that they are made of.

        Args:
            batch: From `training.batches`: `groups`, each with `ids`, `mask`, `labels` `[b, s]` and the flat positions
                `rets` `[q]`, ascending, of its `[Ret]`s; `passages`, parts with `ids` and `mask` `[p, t]`; `targets`
                `[q]`, the row of each query's passage, counted over all parts; `sequence_keys` `int64[p]`, needed
                where there are several ranks. Where the text so far is the query, `queries`, parts with `ids` and
                `mask` in the order of `targets`, stand for the states at `rets`.
            only: `vectors` for `queries` `[q, d]` and `sequences` `[p, d]` alone, `parts` for these and the sum `ntp`
                of the cross entropy over the batch's tokens: what `training.grad_cache` puts together itself.

        Returns:
            `loss`, this rank's share: its mean over the ranks is the loss of the global batch. For the log, over all
            ranks: `ntp`, and where lookups are trained `nsp` and `accuracy`, how often the right passage came first.
        """
        if only is not None:
            return self._parts(batch, ntp=only == "parts")
        parts = self._parts(self.in_step(batch), ntp=True)
        nsp = None
        if self.objective.trains_lookups:
            nsp = self.next_sequence(parts["queries"], self.columns(parts["sequences"], batch), batch["targets"])
        return self.terms(parts["ntp"], nsp, self.counts(batch))

    def terms(self, ntp: Tensor, nsp: NextSequence | None, counts: Counts) -> dict[str, Tensor]:
        """What `forward` returns, from the sums over this rank's tokens and queries."""
        shares = {"ntp": num_ranks() * ntp / counts.tokens} if self.objective.trains_tokens else {}
        if nsp is not None:
            shares["nsp"] = num_ranks() * nsp.loss / counts.queries
            shares["accuracy"] = num_ranks() * nsp.right / counts.queries
        loss = self.objective.loss(shares.get("ntp", 0.0 * ntp), shares.get("nsp", 0.0 * ntp))
        averages = total(torch.stack([share.detach() for share in shares.values()])) / num_ranks()
        return {"loss": loss} | dict(zip(shares, averages, strict=True))

    def counts(self, batch: Batch) -> Counts:
        """Tokens that count and queries of the batches of all ranks."""
        here = torch.zeros(2, dtype=torch.long, device=batch["targets"].device)
        here[0] = sum(counted_tokens(group["labels"]) for group in batch["groups"])
        here[1] = len(batch["targets"])
        tokens, queries = total(here).clamp(min=1)
        return Counts(tokens, queries)

    def columns(self, sequences: Tensor, batch: Batch) -> Tensor:
        """The sequence embeddings that this rank's queries are compared with: its own rows first, `[P, d]`."""
        return gathered(sequences, batch.get("sequence_keys"), self.gather)

    def next_sequence(self, queries: Tensor, sequences: Tensor, targets: Tensor) -> NextSequence:
        """`L_NSP` summed over queries `[q, d]`."""
        return next_sequence_sum(
            queries,
            sequences,
            targets,
            temperature=self.spec.temperature,
            leading_dimensions=self.spec.leading_dimensions,
            unit=self.spec.similarity == "cosine",
        )

    def sequence_vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Embseq's vectors of padded passages, `[p, d]`."""
        return self._encoded(self.embseq, ids, mask, self.sequence_projection)

    def text_vectors(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The query encoder's vectors of padded texts so far, `[q, d]`."""
        if self.query is None:
            return self.sequence_vectors(ids, mask)
        return self._encoded(self.query, ids, mask, self.query_projection)

    def query_vectors(self, states: Tensor, rets: Tensor) -> Tensor:
        """Gen's states at the flat positions of `[Ret]`, `[q, d]`, as they are compared."""
        return self._vectors(states.reshape(-1, states.shape[-1])[rets], self.query_projection)

    def next_token(self, states: Tensor, labels: Tensor) -> Tensor:
        """`L_NTP` of one padded group."""
        return next_token_loss(states, labels, self.gen.get_output_embeddings())

    def kinds(self, batch: Batch) -> list[str]:
        """The kinds of input that have a part in the loss."""
        read = ["groups"] if self.objective.trains_tokens or "queries" not in batch else []
        return read + [kind for kind in ("queries", "passages") if self.objective.trains_lookups and kind in batch]

    def in_step(self, batch: Batch) -> Batch:
        """The batch with as many forward passes as every other rank has."""
        one = torch.ones(1, 1, dtype=torch.long, device=batch["targets"].device)
        text = {"ids": 0 * one, "mask": one, "filler": True}
        group = text | {"labels": IGNORED * one, "rets": one.new_empty(0)}
        return batch | {
            kind: in_step(batch[kind], group if kind == "groups" else text, one.device) for kind in self.kinds(batch)
        }

    def _parts(self, batch: Batch, *, ntp: bool) -> dict[str, Tensor]:
        """`queries` and `sequences` of a batch, or of a chunk that lacks some kinds of input, and the sum `ntp`."""
        none = torch.zeros(0, self.spec.dimension, device=self.gen.device)
        sums, queries, sequences = [none.sum()], [none], [none]
        kinds = self.kinds(batch)
        for group in batch.get("groups", []) if "groups" in kinds else []:
            states = sequence_states(self.gen.base_model, group["ids"], group["mask"])
            if ntp and self.objective.trains_tokens:
                sums.append(next_token_sum(states, group["labels"], self.gen.get_output_embeddings()))
            if self.objective.trains_lookups and "queries" not in batch:
                queries.append(self.query_vectors(states, group["rets"]))
        if "queries" in kinds:
            queries += [_kept(self.text_vectors(part["ids"], part["mask"]), part) for part in batch["queries"]]
        if "passages" in kinds:
            sequences += [_kept(self.sequence_vectors(part["ids"], part["mask"]), part) for part in batch["passages"]]
        return {"queries": torch.cat(queries), "sequences": torch.cat(sequences), "ntp": torch.stack(sums).sum()}

    def _encoded(self, model: PreTrainedModel, ids: Tensor, mask: Tensor, projection: nn.Linear | None) -> Tensor:
        return self._vectors(pool(sequence_states(model, ids, mask), mask, self.spec.pooling), projection)

    def _vectors(self, pooled: Tensor, projection: nn.Linear | None) -> Tensor:
        with torch.autocast(pooled.device.type, enabled=False):  # what scores are made of stays in float32
            return as_vector(pooled, self.spec, projection=None if projection is None else projection.weight)


def projection(hidden_size: int, dimension: int) -> nn.Linear | None:
    """What brings states of `hidden_size` to `dimension`; None where they have it already.

    It starts as an orthogonal matrix, which keeps the angles between states as well as `dimension` allows.
    """
    if hidden_size == dimension:
        return None
    made = nn.Linear(hidden_size, dimension, bias=False)
    nn.init.orthogonal_(made.weight)
    return made


def _kept(vectors: Tensor, part: Batch) -> Tensor:
    """The vectors of a part; of a filler none, though with a way for gradients."""
    return vectors[:0] if "filler" in part else vectors
