"""Lookups of a pair: its queries, and the exact search of its sequence embeddings."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from semiparametric.batching import padded
from semiparametric.embedding import as_query, as_vector, embed_passages, sequence_states
from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage
from semiparametric.pair import load_embseq, load_gen, read_spec
from semiparametric.query_text import load_query_encoder
from training.mining.lookups import lookups_of
from training.sequences import training_sequence

Queries = Callable[[Sequence[Example]], NDArray[np.float32]]
"""The queries `float32[n, d]` of the lookups of examples."""

Nearest = Callable[[NDArray[np.float32], int], list[list[str]]]
"""Ids of the passages nearest to each query, best first."""


class PairSearcher:
    """Searches with the queries of a pair."""

    def __init__(self, queries: Queries, nearest: Nearest) -> None:
        self._queries = queries
        self._nearest = nearest

    def search(self, examples: Sequence[Example], top_k: int) -> list[list[str]]:
        """As `Searcher.search`."""
        if not lookups_of(examples):
            return []
        return self._nearest(self._queries(examples), top_k)


def pair_queries(
    pair: Path, passages: Mapping[str, Passage], *, batch_tokens: int, device: str, dimension: int | None = None
) -> Queries:
    """The query side of a pair: Gen's state at each `[Ret]`, or the encoded text so far.

    Args:
        pair: Folder of the pair.
        passages: What examples cite: earlier passages of an example stand before its later lookups.
        batch_tokens: Tokens of one batch at the most, padding included.
        device: Where the model runs.
        dimension: Leading dimensions of a query to keep; None keeps all.

    Raises:
        PairError: The pair cannot be read.
    """
    if read_spec(pair).query == "text":
        encoder, spec = load_query_encoder(pair, device=device), read_spec(pair)

        def encoded(examples: Sequence[Example]) -> NDArray[np.float32]:
            queries = torch.from_numpy(encoder.encode([lookup.text for lookup in lookups_of(examples)]))
            return as_vector(queries, spec, dimension=dimension).numpy()

        return encoded
    return _States(pair, passages, batch_tokens, device, dimension)


def exact_nearest(
    ids: Sequence[str], vectors: NDArray[np.float32], *, block: int = 65536, device: str = "cpu"
) -> Nearest:
    """Exact search by inner product, block by block, so that the scores of all passages never stand in memory at once.

    Args:
        ids: Passage ids.
        vectors: Their sequence embeddings, `float32[n, d]`.
        block: Passages scored at once.
        device: Where scores are computed.
    """

    @torch.inference_mode()
    def nearest(queries: NDArray[np.float32], top_k: int) -> list[list[str]]:
        asked = torch.from_numpy(queries).to(device)
        best = torch.empty(len(queries), 0, device=device)
        rows = torch.empty(len(queries), 0, dtype=torch.long, device=device)
        for start in range(0, len(ids), block):
            scores = asked @ torch.from_numpy(vectors[start : start + block]).to(device).T  # [q, block]
            here = torch.arange(start, start + scores.shape[1], device=device).expand_as(scores)
            best, rows = _merged(torch.cat([best, scores], 1), torch.cat([rows, here], 1), top_k)
        return [[ids[row] for row in found] for found in rows.tolist()]

    return nearest


def embedded_corpus(
    pair: Path, passages: Mapping[str, Passage], *, batch_tokens: int, device: str
) -> NDArray[np.float32]:
    """Sequence embeddings of the passages, in order, `float32[n, d]`."""
    embseq = load_embseq(pair, device=device)
    return embed_passages(embseq, list(passages.values()), batch_tokens=batch_tokens)


def _merged(scores: Tensor, rows: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    best, places = scores.topk(min(top_k, scores.shape[1]), dim=1)
    return best, rows.gather(1, places)


class _States:
    """Gen's states at every `[Ret]` of training sequences."""

    def __init__(
        self, pair: Path, passages: Mapping[str, Passage], batch_tokens: int, device: str, dimension: int | None
    ) -> None:
        self._gen = load_gen(pair, device=device)
        self._passages = passages
        self._batch_tokens = batch_tokens
        self._dimension = dimension

    @torch.inference_mode()
    def __call__(self, examples: Sequence[Example]) -> NDArray[np.float32]:
        sequences = [self._until_last_lookup(example) for example in examples]
        lengths = [len(ids) for ids, _ in sequences]
        order = sorted((row for row, length in enumerate(lengths) if length), key=lambda row: lengths[row])
        states: dict[int, Tensor] = {}
        while order:
            rows = self._batch(order, lengths)
            order = order[: -len(rows)]
            ids, mask = padded([sequences[row][0] for row in rows], self._gen.tokenizer.pad_token_id or 0)
            device = self._gen.model.device
            hidden = sequence_states(self._gen.model.base_model, ids.to(device), mask.to(device))  # [b, s, hidden]
            states |= {row: hidden[place, sequences[row][1]] for place, row in enumerate(rows)}
        found = torch.cat([states[row] for row in sorted(states)])  # [lookups, hidden]
        return as_query(found, self._gen.spec, self._gen.projection, dimension=self._dimension)

    def _batch(self, order: Sequence[int], lengths: Sequence[int]) -> list[int]:
        """The longest rows left, as many as fit."""
        longest = lengths[order[-1]]
        return list(order[-max(1, self._batch_tokens // longest) :])

    def _until_last_lookup(self, example: Example) -> tuple[list[int], list[int]]:
        """Token ids up to the last `[Ret]`, and where all of them stand."""
        sequence = training_sequence(example, self._passages, self._gen.codec, max_tokens=sys.maxsize)
        if not sequence.ret_positions:
            return [], []
        ids = sequence.ids[: sequence.ret_positions[-1] + 1]
        room = getattr(self._gen.model.config, "max_position_embeddings", len(ids))
        if len(ids) > room:
            raise InputError(
                f"its last lookup stands {len(ids)} tokens from its start, Gen reads {room}",
                where=f"example {example.id!r}",
                remedy="Shorten its segments, or use --method bm25",
            )
        return ids, sequence.ret_positions
