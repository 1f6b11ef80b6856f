"""What runs inside vLLM's worker processes: hard masks, and the query states that requests ask for."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from vllm import ModelRegistry, SamplingParams
from vllm.v1.sample.logits_processor import LogitsProcessor as ByBatchIndex
from vllm.v1.worker.gpu.sample.logits_processor import LogitsProcessor as BySlot

from service.decoding.engine import Sampling
from service.engines.sampling import choice_at, sample
from service.engines.vllm.protocol import ARCHITECTURES, FORBIDDEN, PREFIX, SAMPLING, STATE

_MOST_KEPT = 4096  # states that nobody fetched: their clients died between asking and fetching


def register() -> None:
    """Make the readable models known to vLLM, in each of its processes (entry point `vllm.general_plugins`)."""
    for architecture in ARCHITECTURES:
        name = PREFIX + architecture
        ModelRegistry.register_model(name, f"service.engines.vllm.models:{name}")


class Rows:
    """The rows of the running step, and the states that were asked for, by name; the oldest are dropped."""

    def __init__(self, most: int = _MOST_KEPT) -> None:
        self._most = most
        self._shown: Tensor | None = None
        self._kept: OrderedDict[str, Tensor] = OrderedDict()

    def show(self, states: Tensor) -> None:
        """Have the step's post-norm states, `[n, hidden]`, one for each row of logits."""
        self._shown = states

    def keep(self, row: int, name: str) -> None:
        """Keep one of them; a state that the name had before gives way."""
        if self._shown is None:
            raise RuntimeError("the model shows no states: it was not loaded as one of Cosup's architectures")
        self._kept[name] = self._shown[row].clone()  # the step's memory is used again
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def take(self, name: str) -> bytes | None:
        """Hand a state out, as the bytes of `float32[hidden]`; None where there is none."""
        state = self._kept.pop(name, None)
        return None if state is None else state.float().cpu().numpy().tobytes()


rows = Rows()  # one for each worker process, as there is one model


@dataclass(frozen=True)
class _Asked:
    """What a request asks of the processor. `ids` are the older runner's lists of its prompt and its new tokens."""

    forbidden: list[int]
    sampling: Sampling | None
    name: str | None
    ids: tuple[list[int], list[int]] | None


class GenProcessor(ByBatchIndex, BySlot):  # type: ignore[misc]  # vLLM is not there where types are checked
    """A logits processor for either of vLLM's model runners: masks, seeded sampling, and states that are asked for.

    The older runner tells with `update_state` which request is in which row of the batch; the newer one names a slot
    for each request, and says with each step which slot is in which row. Sampling is the service's own, so that a seed
    gives the same tokens as on the embedded engine: vLLM sees a greedy request that has one token left to take.
    """

    def __init__(self, vllm_config: Any, *_: Any) -> None:
        self._asked: dict[int, _Asked] = {}
        del vllm_config

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Refuse what is not of the protocol."""
        forbidden = (sampling_params.extra_args or {}).get(FORBIDDEN, [])
        if not all(isinstance(token, int) and token >= 0 for token in forbidden):
            raise ValueError(f"{FORBIDDEN} holds token ids, not {forbidden!r}")

    def is_argmax_invariant(self) -> bool:
        """Masks change what greedy decoding takes."""
        return False

    def add_request(
        self, req_idx: int, sampling_params: SamplingParams, ids: tuple[list[int], list[int]] | None = None
    ) -> bool:
        """A request enters a slot, whoever was there before."""
        extra = sampling_params.extra_args or {}
        self._asked.pop(req_idx, None)
        if not extra.keys() & {FORBIDDEN, SAMPLING, STATE}:
            return False
        sampling = extra.get(SAMPLING)
        self._asked[req_idx] = _Asked(
            list(extra.get(FORBIDDEN, ())), sampling and Sampling(*sampling), extra.get(STATE), ids
        )
        return True

    def update_state(self, batch_update: Any) -> None:
        """The older runner's batch has changed: removed, added, moved, in this order."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._asked.pop(index, None)
        for index, params, prompt_ids, output_ids in batch_update.added:
            self.add_request(index, params, (prompt_ids or [], output_ids))
        for source, target, direction in batch_update.moved:
            arriving, leaving = self._asked.pop(source, None), self._asked.pop(target, None)
            if arriving is not None:
                self._asked[target] = arriving
            if leaving is not None and direction.name == "SWAP":
                self._asked[source] = leaving

    def apply(self, logits: Tensor, ctx: Any = None) -> Tensor:
        """Mask `logits[n, vocabulary]` in place, choose where a request samples, keep the states that were asked for.

        A prompt computed in several steps shows a row in each of them; the last one is the prompt's end and stays.
        """
        slots = range(logits.shape[0]) if ctx is None else ctx.idx_mapping_np.tolist()
        asked = {row: self._asked[slot] for row, slot in enumerate(slots) if slot in self._asked}
        for row, request in asked.items():
            if request.name:
                rows.keep(row, request.name)
        banned = [(row, token) for row, request in asked.items() for token in request.forbidden]
        if banned:
            at = torch.tensor(banned, device=logits.device)
            logits[at[:, 0], at[:, 1]] = -torch.inf
        self._choose(logits, asked, ctx)
        return logits

    def _choose(self, logits: Tensor, asked: dict[int, _Asked], ctx: Any) -> None:
        choices = {
            row: choice_at(request.sampling, _length(row, request, ctx))
            for row, request in asked.items()
            if request.sampling
        }
        if choices:
            at = torch.tensor(list(choices), device=logits.device)
            tokens = sample(logits[at].float(), list(choices.values()))
            logits[at] = -torch.inf
            logits[at, tokens] = 0


def _length(row: int, request: _Asked, ctx: Any) -> int:
    """The ids before the token that is chosen now."""
    if request.ids is not None:
        return len(request.ids[0]) + len(request.ids[1])
    return int(ctx.seq_lens_upper_bound_np[row])


class StateExtension:
    """What vLLM's worker can do besides: its `worker_extension_cls`."""

    def take_states(self, names: list[str]) -> dict[str, bytes]:
        """Hand out states of these names, those that are there, as the bytes of `float32[hidden]`."""
        taken = {name: rows.take(name) for name in names}
        return {name: state for name, state in taken.items() if state is not None}
