"""Sequence embeddings: a passage becomes one vector, the same vector whatever it is batched or padded with."""

import inspect
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

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
        pooling: `last_token` takes the state of the last real token, `mean` the average over the real tokens.

    Returns:
        `[b, d]`, in float32.
    """
    if pooling == "mean":
        weights = mask.to(torch.float32).unsqueeze(-1)  # [b, s, 1]
        return (hidden.float() * weights).sum(1) / weights.sum(1).clamp(min=1)
    positions = torch.arange(mask.shape[1], device=mask.device)
    last = (positions * mask).argmax(
        1
    )  # the greatest position whose mask is 1, so padding on either side is passed over
    return hidden[torch.arange(hidden.shape[0], device=hidden.device), last].float()


def sequence_states(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """Last-layer states `[b, s, d]` of a batch, with positions counted from each row's first real token."""
    if "position_ids" in inspect.signature(model.forward).parameters and not _is_encoder(model):
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False)
    else:
        output = model(input_ids=ids, attention_mask=mask)
    states: Tensor = output.last_hidden_state
    return states


def as_vector(pooled: Tensor, spec: PairSpec) -> Tensor:
    """A pooled state or query state `[..., d]` as it is compared: of unit length for cosine, as it is for dot."""
    return nn.functional.normalize(pooled.float(), dim=-1) if spec.similarity == "cosine" else pooled.float()


def as_query(state: Tensor, spec: PairSpec) -> NDArray[np.float32]:
    """Gen's hidden state at `[Ret]`, `[d]`, as the query of a maximum-inner-product lookup, `float32[d]`."""
    return as_vector(state.detach(), spec).cpu().numpy()


def tokenize_passages(
    tokenizer: PreTrainedTokenizerBase, spec: PairSpec, passages: Sequence[Passage]
) -> list[list[int]]:
    """Passages in the pair's form as Embseq's tokens, with the special tokens that its tokenizer puts around them."""
    if not passages:
        return []
    texts = [spec.passage.render(passage.title, passage.text) for passage in passages]
    before, after = _frame(tokenizer)
    room = max(spec.passage.max_tokens - len(before) - len(after), 0)
    return [before + ids[:room] + after for ids in encode_texts(tokenizer, texts)]


def _frame(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text."""
    framed = tokenizer("a", return_special_tokens_mask=True)
    ids, added = framed.input_ids, framed.special_tokens_mask
    return ids[: added.index(0)], ids[len(added) - added[::-1].index(0) :]


@torch.inference_mode()
def embed_passages(
    embseq: Embseq,
    passages: Sequence[Passage],
    *,
    batch_tokens: int = 8192,
    on_batch: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Embed passages in length-sorted batches.

    Args:
        embseq: The model; its spec says how passages are shown, pooled and compared.
        passages: In any order; the rows of the result follow it.
        batch_tokens: Tokens of one batch at the most, padding included (one longer passage is a batch of its own).
        on_batch: Called with the number of passages done after each batch.

    Returns:
        `float32[n, d]`; unit rows where the pair compares by cosine.
    """
    sequences = tokenize_passages(embseq.tokenizer, embseq.spec, passages)
    vectors = np.empty((len(sequences), embseq.spec.dimension), np.float32)
    device = embseq.model.device
    for rows in _length_sorted(sequences, batch_tokens):
        ids, mask = padded([sequences[row] for row in rows], embseq.tokenizer.pad_token_id or 0)
        hidden = sequence_states(embseq.model, ids.to(device), mask.to(device))
        if hidden.shape[-1] != embseq.spec.dimension:
            raise PairError(f"Embseq gives {hidden.shape[-1]} dimensions, pair.json says {embseq.spec.dimension}")
        pooled = pool(hidden, mask.to(device), embseq.spec.pooling)
        vectors[rows] = as_vector(pooled, embseq.spec).cpu().numpy()
        if on_batch:
            on_batch(len(rows))
    return vectors


def _length_sorted(sequences: Sequence[Sequence[int]], batch_tokens: int) -> Iterator[list[int]]:
    """Row numbers of one batch after another: neighbours in length, so that little is padding."""
    batch: list[int] = []
    for row in sorted(range(len(sequences)), key=lambda row: -len(sequences[row])):
        if batch and (len(batch) + 1) * len(sequences[batch[0]]) > batch_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def padded(sequences: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Right-padded ids and their mask, both `int64[b, s]`."""
    longest = max((len(sequence) for sequence in sequences), default=1)
    ids = torch.full((len(sequences), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(sequences), longest), dtype=torch.long)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = torch.tensor(sequence)
        mask[row, : len(sequence)] = 1
    return ids, mask


def _is_encoder(model: nn.Module) -> bool:
    """Encoders such as BERT know their own positions and pad on the right only."""
    return not getattr(model.config, "is_decoder", True) or getattr(model.config, "model_type", "") in {
        "bert",
        "roberta",
    }
