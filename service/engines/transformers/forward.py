"""Passes of the model over the slots: new ids in, last states and logits out."""

import inspect
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from semiparametric.errors import PairError
from service.engines.transformers.slots import DecodePass, PrefillPass, SlotCache

_NEEDED = ("attention_mask", "position_ids", "past_key_values", "logits_to_keep")


def check_supported(model: PreTrainedModel) -> None:
    """Refuse a model whose attention cannot be kept in slots.

    Raises:
        PairError: It is of such a kind.
    """
    config = model.config.get_text_config(decoder=True)
    missing = [name for name in _NEEDED if name not in inspect.signature(model.forward).parameters]
    kinds = set(getattr(config, "layer_types", None) or ()) - {"full_attention", "sliding_attention"}
    if missing or kinds:
        raise PairError(
            f"{type(model).__name__} has {', '.join(sorted(kinds))} layers"
            if kinds
            else f"{type(model).__name__} takes no {', '.join(missing)}",
            remedy="Use a causal language model with a standard key-value cache, such as Llama, Qwen or GPT-2",
        )


class Forward:
    """The model with its slot cache.

    The query state is what enters the output embedding: the last state after the final norm. It is taken there, by a
    hook, so that whatever a model does to its logits afterwards (scaling, soft caps) stays its own affair.
    """

    def __init__(self, model: PreTrainedModel, context_length: int) -> None:
        self._model = model
        self._context_length = context_length
        self._device = model.device
        self._states: Tensor = torch.empty(0)
        self._head = model.get_output_embeddings()
        self.reset()

    def reset(self) -> None:
        """Forget all slots and give their memory back."""
        self.cache = SlotCache(self._model.config.get_text_config(decoder=True).num_hidden_layers)

    def decode(self, tokens: Sequence[int], positions: Sequence[int], length: int) -> tuple[Tensor, Tensor]:
        """One id for each of the first slots, attending to at most `length` positions.

        Returns:
            States `[n, d]` and logits `[n, vocabulary]` after these ids.
        """
        at = torch.tensor(positions, device=self._device)  # [n]
        plan = DecodePass(torch.arange(len(positions), device=self._device), at, length)
        return self._run(plan, torch.tensor(tokens, device=self._device).unsqueeze(1), at.unsqueeze(1))

    def prefill(
        self, slots: Sequence[int], starts: Sequence[int], chunks: Sequence[Sequence[int]]
    ) -> tuple[Tensor, Tensor]:
        """Several ids for some slots: slot `slots[i]` gets `chunks[i]` at positions from `starts[i]` on.

        Returns:
            States `[b, d]` and logits `[b, vocabulary]` after each slot's last id.
        """
        counts = [len(chunk) for chunk in chunks]
        ends = [start + count for start, count in zip(starts, counts, strict=True)]
        width = max(counts)
        # Padding stands on the left, so that the last column holds every slot's last id.
        ids = [[0] * (width - len(chunk)) + list(chunk) for chunk in chunks]
        at = torch.arange(-width, 0, device=self._device) + torch.tensor(ends, device=self._device).unsqueeze(1)
        plan = PrefillPass(list(slots), list(starts), counts, max(ends))
        return self._run(plan, torch.tensor(ids, device=self._device), at)

    def _run(self, plan: DecodePass | PrefillPass, ids: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """Compute `ids[b, q]` at positions `at[b, q]`; positions below 0 are padding."""
        self.cache.plan = plan
        columns = torch.arange(plan.length, device=self._device)
        seen = columns <= at.unsqueeze(-1)  # [b, q, length]
        mask = torch.zeros(seen.shape, dtype=self._model.dtype, device=self._device)
        mask.masked_fill_(~seen, torch.finfo(mask.dtype).min)
        with self._head.register_forward_pre_hook(self._keep_states):
            logits = self._model(
                input_ids=ids,
                attention_mask=mask.unsqueeze(1),  # [b, 1, q, length], added to the scores as it is
                position_ids=at.clamp(0, self._context_length - 1),
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits
        self.cache.plan = None
        return self._states[:, -1], logits[:, -1]

    def _keep_states(self, _: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        self._states = arguments[0]
