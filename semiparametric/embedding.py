"""Sequence embeddings: a passage becomes one vector, the same vector whatever it is batched or padded with."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from semiparametric.batching import Batch, make_batches
from semiparametric.control import encode_texts
from semiparametric.errors import PairError
from semiparametric.formats import Passage
from semiparametric.pair import Embseq
from semiparametric.spec import PairSpec, Pooling


def pool(hidden: Tensor, mask: Tensor, pooling: Pooling) -> Tensor:
    """Condense states to one vector per row.

    Args:
        hidden: Last-layer states, `[b, s, d]`.
        mask: 1 for real tokens, 0 for padding on either side, `[b, s]`.
        pooling: `last_token` takes the state of the last real token, `mean` the average over the real tokens,
            `last_position` the state at the row's end, padding or not.

    Returns:
        `[b, d]`, in float32.
    """
    if pooling == "mean":
        weights = mask.to(torch.float32).unsqueeze(-1)  # [b, s, 1]
        return (hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1)
    if pooling == "last_position":
        return hidden[:, -1].float()
    positions = torch.arange(mask.shape[1], device=mask.device)
    last = (positions * mask).argmax(
        1
    )  # the greatest position whose mask is 1, so padding on either side is passed over
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), last].float()


def sequence_states(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """Last-layer states `[b, s, d]` of a batch, with positions counted from each row's first real token.

    Args:
        model: A decoder or an encoder without a head.
        ids: Token ids, `int64[b, s]`.
        mask: 1 for real tokens, which stand together, 0 for padding on either side, `[b, s]`.
    """
    takes = inspect.signature(model.forward).parameters
    told: dict[str, Any] = {"use_cache": False} if "use_cache" in takes else {}
    if "position_ids" in takes:
        told["position_ids"] = _positions(model, mask)
    states: Tensor = model(input_ids=ids, attention_mask=mask, **told).last_hidden_state
    return states


def _positions(model: nn.Module, mask: Tensor) -> Tensor:
    """Positions `int64[b, s]`: 0 at the first real token, going on into the padding on its right."""
    first = mask.int().argmax(1, keepdim=True)
    positions = (torch.arange(mask.shape[1], device=mask.device) - first).clamp(min=0)
    learned = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    padding = getattr(learned, "padding_idx", None)
    if padding is not None:  # RoBERTa and its kin begin after the position of padding
        positions = positions + padding + 1
    limit = getattr(model.config, "max_position_embeddings", None)
    return positions if limit is None else positions.clamp(max=limit - 1)  # only padding can stand beyond it


def as_vector(
    pooled: Tensor, spec: PairSpec, *, projection: Tensor | None = None, dimension: int | None = None
) -> Tensor:
    """A pooled state or query state as it is compared.

    Args:
        pooled: `[..., hidden]`.
        spec: Says whether vectors are compared by cosine, so that they have unit length here.
        projection: `[d, hidden]`, where the pair projects this side; None uses the state as it is.
        dimension: How many leading dimensions to keep; None keeps all.

    Returns:
        `[..., dimension]`, in float32.
    """
    vector = pooled.float()
    if projection is not None:
        vector = vector @ projection.float().T
    vector = vector[..., :dimension]
    return nn.functional.normalize(vector, dim=-1) if spec.similarity == "cosine" else vector


def as_query(
    state: Tensor, spec: PairSpec, projection: Tensor | None = None, *, dimension: int | None = None
) -> NDArray[np.float32]:
    """Gen's hidden state at `[Ret]`, `[hidden]`, as the query of a maximum-inner-product lookup, `float32[d]`.

    `projection` is Gen's; `dimension` that of the store, where it holds leading dimensions only.
    """
    return as_vector(state.detach(), spec, projection=projection, dimension=dimension).cpu().numpy()


@dataclass(frozen=True)
class Tokens:
    """Texts as token ids.

    rows: The ids of each text, no more than the pair reads.
    cut: How many of the texts have more than that.
    """

    rows: list[list[int]]
    cut: int


def tokenize_passages(
    tokenizer: PreTrainedTokenizerBase, spec: PairSpec, passages: Sequence[Passage]
) -> list[list[int]]:
    """Passages in the pair's form as Embseq's tokens, with the special tokens that its tokenizer puts around them."""
    return tokenize_rendered(tokenizer, spec, [spec.passage.render(each.title, each.text) for each in passages]).rows


def tokenize_rendered(tokenizer: PreTrainedTokenizerBase, spec: PairSpec, texts: Sequence[str]) -> Tokens:
    """Passages that are in the pair's form already, as `tokenize_passages` does it."""
    before, after = _frame(tokenizer)
    room = _room(spec, before, after)
    enough = spec.passage.max_tokens * _CHARACTERS_OF_A_TOKEN  # a text of megabytes is read only as far as it counts
    rows, cut = [], 0
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        some = texts[start : start + _TEXTS_AT_ONCE]
        found = encode_texts(tokenizer, [text[:enough] for text in some])
        for text, ids in zip(some, found, strict=True):
            whole = encode_texts(tokenizer, [text])[0] if len(text) > enough and len(ids) <= room else ids
            rows.append(before + whole[:room] + after)
            cut += len(whole) > room
    return Tokens(rows, cut)


def tokenize_queries(tokenizer: PreTrainedTokenizerBase, spec: PairSpec, texts: Sequence[str]) -> list[list[int]]:
    """Texts so far (see `query_text`) as the query encoder's tokens, as many as of a passage.

    Of a longer text the end is kept: a lookup is about what comes next.
    """
    before, after = _frame(tokenizer)
    room = _room(spec, before, after)
    return [before + ids[max(len(ids) - room, 0) :] + after for ids in encode_texts(tokenizer, texts)]


_TEXTS_AT_ONCE = 256
"""A tokenizer keeps a hundred bytes of each token, cut off or not, until it has read all that it was given."""

_CHARACTERS_OF_A_TOKEN = 64
"""More than the tokens of any text have on average, but for long runs of spaces and the like."""


def _room(spec: PairSpec, before: Sequence[int], after: Sequence[int]) -> int:
    return max(spec.passage.max_tokens - len(before) - len(after), 0)


def _frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text."""
    framed = tokenizer("a", return_special_tokens_mask=True)
    ids, added = framed.input_ids, framed.special_tokens_mask
    return ids[: added.index(0)], ids[len(added) - added[::-1].index(0) :]


def embed_passages(
    embseq: Embseq,
    passages: Sequence[Passage],
    *,
    batch_tokens: int = 8192,
    dimension: int | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed passages in length-sorted batches.

    Args:
        embseq: The model; its spec says how passages are shown, pooled and compared.
        passages: In any order; the rows of the result follow it.
        batch_tokens: Tokens of one batch at the most, padding included (one longer passage is a batch of its own).
        dimension: Leading dimensions to keep; None keeps all.
        on_batch: Called with the number of passages done after each batch.

    Returns:
        `float32[n, dimension]`; unit rows where the pair compares by cosine.
    """
    sequences = tokenize_passages(embseq.tokenizer, embseq.spec, passages)
    return embed_tokens(embseq, sequences, batch_tokens=batch_tokens, dimension=dimension, on_batch=on_batch)


def embed_tokens(
    encoder: Embseq,
    sequences: Sequence[Sequence[int]],
    *,
    batch_tokens: int = 8192,
    dimension: int | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed token ids of `tokenize_passages` or `tokenize_queries`, as `embed_passages` does."""
    batches = token_batches(encoder, sequences, batch_tokens=batch_tokens)
    return embed_batches(encoder, batches, len(sequences), dimension=dimension, on_batch=on_batch)


def token_batches(encoder: Embseq, sequences: Sequence[Sequence[int]], *, batch_tokens: int) -> Iterator[Batch]:
    """The batches in which token ids are embedded."""
    length = fixed_length(encoder.spec)
    return make_batches(sequences, batch_tokens=batch_tokens, pad_id=_pad_id(encoder), length=length)


@torch.inference_mode()
def embed_batches(
    encoder: Embseq,
    batches: Iterable[Batch],
    count: int,
    *,
    dimension: int | None = None,
    on_batch: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed batches of `token_batches`, which together have `count` rows."""
    vectors = np.empty((count, dimension or encoder.spec.dimension), np.float32)

    def place(arriving: _Arriving) -> None:
        vectors[arriving.rows] = arriving.get()
        if on_batch:
            on_batch(len(arriving.rows))

    last = None
    for batch in batches:  # the vectors of a batch leave a GPU while it computes the next
        arriving = _Arriving(batch.rows, _vectors_of(encoder, batch, dimension))
        if last:
            place(last)
        last = arriving
    if last:
        place(last)
    return vectors


def _vectors_of(encoder: Embseq, batch: Batch, dimension: int | None) -> Tensor:
    spec, device = encoder.spec, encoder.model.device
    ids, mask = batch.ids.to(device, non_blocking=True), batch.mask.to(device, non_blocking=True)
    pooled = pool(sequence_states(encoder.model, ids, mask), mask, spec.pooling)
    found = as_vector(pooled, spec, projection=encoder.projection)
    if found.shape[-1] != spec.dimension:
        raise PairError(f"Embseq gives {found.shape[-1]} dimensions, pair.json says {spec.dimension}")
    return as_vector(found, spec, dimension=dimension)


class _Arriving:
    """Vectors on their way from the device, `[b, d]`, and the rows that they belong to."""

    def __init__(self, rows: list[int], vectors: Tensor) -> None:
        self.rows = rows
        self._vectors = vectors
        self._copied: torch.cuda.Event | None = None
        if vectors.is_cuda:
            self._vectors = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
            self._vectors.copy_(vectors, non_blocking=True)
            self._copied = torch.cuda.Event()
            self._copied.record(torch.cuda.current_stream(vectors.device))

    def get(self) -> NDArray[np.float32]:
        """The vectors, once they are here."""
        if self._copied:
            self._copied.synchronize()
        return self._vectors.numpy()


def fixed_length(spec: PairSpec) -> int | None:
    """The length that every row is padded to, where its vector depends on it; None pads to the longest of a batch."""
    return spec.passage.max_tokens if spec.pooling == "last_position" else None


def _pad_id(encoder: Embseq) -> int:
    pad_id = encoder.tokenizer.pad_token_id
    if pad_id is None and encoder.spec.pooling == "last_position":
        raise PairError(
            "its vectors are states of padding tokens, and Embseq's tokenizer has no padding token",
            remedy="Set pad_token in its tokenizer",
        )
    return int(pad_id or 0)
