"""Choosing the next token of many rows at once."""

from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor

from service.decoding.engine import Sampling


class Chooser:
    """How one row chooses. Its random numbers are its own, so its tokens do not depend on the rest of the batch."""

    def __init__(self, sampling: Sampling) -> None:
        self.sampling = sampling
        self.random = Random(sampling.seed)  # noqa: S311 - chance for sampling, not for secrets


def choose(logits: Tensor, choosers: Sequence[Chooser], forbidden: Sequence[frozenset[int]]) -> list[int]:
    """One token for each row of `logits[n, vocabulary]`, never a forbidden one. Changes `logits`."""
    mask_out(logits, forbidden)
    tokens = logits.argmax(-1)
    sampled = [row for row, chooser in enumerate(choosers) if chooser.sampling.temperature > 0]
    if sampled:
        tokens[sampled] = _sample(logits[sampled].float(), [choosers[row] for row in sampled])
    chosen: list[int] = tokens.tolist()
    return chosen


def mask_out(logits: Tensor, forbidden: Sequence[frozenset[int]]) -> None:
    """Make each row's forbidden ids impossible, in place."""
    rows = [row for row, ids in enumerate(forbidden) for _ in ids]
    columns = [token for ids in forbidden for token in ids]
    if rows:
        logits[rows, columns] = -torch.inf


def _sample(logits: Tensor, choosers: Sequence[Chooser]) -> Tensor:
    """Draw from the smallest set of most likely tokens that holds `top_p` of the probability, one draw for each row."""

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, device=logits.device).unsqueeze(1)

    temperature = column([chooser.sampling.temperature for chooser in choosers])
    top_p = column([chooser.sampling.top_p for chooser in choosers])
    drawn = column([chooser.random.random() for chooser in choosers])
    probabilities, tokens = torch.softmax(logits / temperature, -1).sort(-1, descending=True)
    before = probabilities.cumsum(-1) - probabilities  # the share of all more likely tokens
    kept = probabilities * (before < top_p)
    reached = kept.cumsum(-1)
    picked = (reached <= drawn * reached[:, -1:]).sum(-1, keepdim=True)
    # A draw next to 1 may pass the end by rounding; the last kept token is meant.
    picked = torch.minimum(picked, (kept > 0).sum(-1, keepdim=True) - 1)
    return tokens.gather(-1, picked).squeeze(-1)
