"""Choosing the next token of many rows at once: one rule for every engine, so that a seed means the same on each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from service.decoding.engine import Sampling


@dataclass(frozen=True)
class Choice:
    """How one row chooses its next token.

    temperature, top_p: as in `Sampling`.
    draw: in [0, 1), which of the tokens it is; not used at temperature 0.
    """

    temperature: float
    top_p: float
    draw: float


def seeded(sampling: Sampling) -> Sampling:
    """The same with a seed: one drawn here where none was given."""
    if sampling.seed is not None:
        return sampling
    return Sampling(sampling.temperature, sampling.top_p, Random().getrandbits(63))  # noqa: S311 - not for secrets


def choice_at(sampling: Sampling, position: int) -> Choice:
    """The choice at a position of the sequence. It depends on nothing else, so neither do the tokens of a seed."""
    if sampling.temperature == 0:
        return Choice(0.0, 1.0, 0.0)
    draw = Random(f"{sampling.seed} {position}").random()  # noqa: S311
    return Choice(sampling.temperature, sampling.top_p, draw)


def choose(logits: Tensor, choices: Sequence[Choice], forbidden: Sequence[frozenset[int]]) -> list[int]:
    """One token for each row of `logits[n, vocabulary]`, never a forbidden one. Changes `logits`."""
    mask_out(logits, dict(enumerate(forbidden)))
    tokens = logits.argmax(-1)
    sampled = [row for row, choice in enumerate(choices) if choice.temperature > 0]
    if sampled:
        tokens[sampled] = sample(logits[sampled].float(), [choices[row] for row in sampled])
    chosen: list[int] = tokens.tolist()
    return chosen


def mask_out(logits: Tensor, forbidden: Mapping[int, frozenset[int]]) -> None:
    """Make the forbidden ids of rows impossible, in place."""
    rows = [row for row, ids in forbidden.items() for _ in ids]
    columns = [token for ids in forbidden.values() for token in ids]
    if rows:
        logits[rows, columns] = -torch.inf


def sample(logits: Tensor, choices: Sequence[Choice]) -> Tensor:
    """Tokens `int64[n]` for `float32[n, vocabulary]`.

    Each row's draw picks from the smallest set of most likely tokens that holds `top_p` of the probability.
    """

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, device=logits.device).unsqueeze(1)

    temperature = column([choice.temperature for choice in choices])
    top_p = column([choice.top_p for choice in choices])
    drawn = column([choice.draw for choice in choices])
    # The greatest is 0 then, and stays a number however small the temperature is.
    scaled = (logits - logits.amax(-1, keepdim=True)) / temperature.clamp(min=torch.finfo(temperature.dtype).tiny)
    probabilities, tokens = torch.softmax(scaled, -1).sort(-1, descending=True)
    before = probabilities.cumsum(-1) - probabilities  # the share of all more likely tokens
    before[:, 0] = -1.0  # the likeliest token is kept whatever `top_p` is: the smallest ones are 0 in this format
    kept = probabilities * (before < top_p)
    reached = kept.cumsum(-1)
    picked = (reached <= drawn * reached[:, -1:]).sum(-1, keepdim=True)
    # A draw next to 1 may pass the end by rounding; the last kept token is meant.
    picked = torch.minimum(picked, (kept > 0).sum(-1, keepdim=True) - 1)
    return tokens.gather(-1, picked).squeeze(-1)
