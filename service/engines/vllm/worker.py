"""What runs inside vLLM's worker processes: hard masks, and the query states that requests ask for."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor
from vllm import ModelRegistry, SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessor

from service.decoding.engine import Sampling
from service.engines.sampling import Choice, choice_at, mask_out, sample
from service.engines.vllm.protocol import ARCHITECTURES, FORBIDDEN, LOOKUP, PREFIX, SAMPLING, STATE

Ids = tuple[list[int], list[int]]
"""A request's prompt and its new tokens, which grow."""

Kept = TypeVar("Kept")

_MOST_KEPT = 4096  # states that nobody fetched: their clients died between asking and fetching


def register() -> None:
    """Make the readable models known to vLLM, in each of its processes (entry point `vllm.general_plugins`)."""
    for architecture in ARCHITECTURES:
        name = PREFIX + architecture
        ModelRegistry.register_model(name, f"service.engines.vllm.models:{name}")


class Rows:
    """The rows of the running step, and the states that were kept of them, by name; the oldest are dropped."""

    def __init__(self, most: int = _MOST_KEPT) -> None:
        self._most = most
        self._shown: Tensor | None = None
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def show(self, states: Tensor) -> None:
        """Have the step's post-norm states, `[n, hidden]`, one for each row of logits."""
        self._shown = states

    @property
    def shown(self) -> Tensor:
        """The step's states."""
        if self._shown is None:
            raise RuntimeError("the model shows no states: it was not loaded as one of Cosup's architectures")
        return self._shown

    def keep(self, name: str, state: Tensor) -> None:
        """Keep a copy of a state, `[hidden]`; one that the name had before gives way."""
        self._kept[name] = state.clone()  # the step's memory is used again
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def take(self, name: str) -> bytes | None:
        """Hand a state out, as the bytes of `float32[hidden]`; None where there is none."""
        state = self._kept.pop(name, None)
        return None if state is None else state.float().cpu().numpy().tobytes()


rows = Rows()  # one for each worker process, as there is one model


@dataclass(frozen=True)
class _Asked:
    """What a request asks of the processor."""

    forbidden: frozenset[int]
    sampling: Sampling | None
    name: str | None
    lookup: tuple[int, int] | None
    ids: Ids

    @classmethod
    def of(cls, params: SamplingParams, ids: Ids) -> "_Asked | None":
        """None where a request asks nothing."""
        extra = params.extra_args or {}
        if not extra.keys() & {FORBIDDEN, SAMPLING, STATE}:
            return None
        sampling, lookup = extra.get(SAMPLING), extra.get(LOOKUP)
        return cls(
            forbidden=frozenset(extra.get(FORBIDDEN, ())),
            sampling=sampling and Sampling(*sampling),
            name=extra.get(STATE),
            lookup=lookup and (lookup[0], lookup[1]),
            ids=ids,
        )

    @property
    def last(self) -> int:
        """The id whose state the step has computed."""
        prompt, new = self.ids
        return (new or prompt)[-1]

    @property
    def choice(self) -> Choice | None:
        """How the next id is chosen, where that is not the likeliest."""
        return choice_at(self.sampling, sum(map(len, self.ids))) if self.sampling else None


class GenProcessor(LogitsProcessor):  # type: ignore[misc]  # vLLM is not there where types are checked
    """A logits processor: masks, seeded sampling, and the states that are asked for.

    A request that decodes asks for the state at `[Ret]`, too: it goes on for one step after it has written `[Ret]`.
    That step computes the state and ends the request by a forced `[Cs]`. Sampling is the service's own, so that a seed
    gives the same tokens as on the embedded engine: vLLM sees a greedy request that has one token left to take.
    """

    def __init__(self, *_: Any) -> None:
        self._asked: dict[int, _Asked] = {}  # by row of the batch

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse what is not of the protocol."""
        forbidden = (sampling_params.extra_args or {}).get(FORBIDDEN, [])
        if not all(isinstance(token, int) and token >= 0 for token in forbidden):
            raise ValueError(f"{FORBIDDEN} holds token ids, not {forbidden!r}")

    def is_argmax_invariant(self) -> bool:
        """Masks change what greedy decoding takes."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """The batch has changed."""
        follow(self._asked, batch_update, _Asked.of)

    def apply(self, logits: Tensor) -> Tensor:
        """Mask `logits[n, vocabulary]` in place, choose where a request samples, keep the states that were asked for.

        A prompt computed in several steps shows a row in each of them; the last one is the prompt's end and stays.
        """
        asked = {row: request for row, request in self._asked.items() if row < len(logits)}
        mask_out(logits, {row: request.forbidden for row, request in asked.items()})
        _sample(logits, {row: choice for row, request in asked.items() if (choice := request.choice)})
        for row, request in asked.items():
            if request.name and (request.lookup is None or request.lookup[0] == request.last):
                rows.keep(request.name, rows.shown[row])
                if request.lookup:
                    _force(logits, row, request.lookup[1])
        return logits


def follow(by_row: dict[int, Kept], batch_update: Any, kept_of: Callable[[SamplingParams, Ids], Kept | None]) -> None:
    """Keep what is kept of the requests in the rows that they have, when the batch has changed.

    Args:
        by_row: Changed in place.
        batch_update: vLLM's: removed, added and moved rows, to be followed in this order; None where nothing changed.
        kept_of: What to keep of a request, from its parameters, its prompt's ids and its new ones; None for nothing.
    """
    if batch_update is None:
        return

    def put(row: int, kept: Kept | None) -> None:
        by_row.pop(row, None)
        if kept is not None:
            by_row[row] = kept

    for row in batch_update.removed:
        by_row.pop(row, None)
    for row, params, prompt_ids, output_ids in batch_update.added:
        put(row, kept_of(params, (prompt_ids or [], output_ids)))
    for source, target, direction in batch_update.moved:
        arriving, leaving = by_row.pop(source, None), by_row.pop(target, None)
        put(target, arriving)
        if direction.name == "SWAP":
            put(source, leaving)


def _sample(logits: Tensor, choices: dict[int, Choice]) -> None:
    if choices:
        at = torch.tensor(list(choices), device=logits.device)
        tokens = sample(logits[at].float(), list(choices.values()))
        logits[at] = -torch.inf
        logits[at, tokens] = 0


def _force(logits: Tensor, row: int, token: int) -> None:
    logits[row] = -torch.inf
    logits[row, token] = 0


class StateExtension:
    """What vLLM's worker can do besides: its `worker_extension_cls`."""

    def take_states(self, names: list[str]) -> dict[str, bytes]:
        """Hand out states of these names, those that are there, as the bytes of `float32[hidden]`."""
        taken = {name: rows.take(name) for name in names}
        return {name: state for name, state in taken.items() if state is not None}
