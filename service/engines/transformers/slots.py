"""The KV cache of all sessions: one slot for each, kept while a session lives, so that no token is computed twice.

transformers hands each layer's new keys and values to its cache and attends to what the cache gives back. Here they are
written into preallocated tensors `[slots, kv_heads, length, head_dim]` at each row's own position. Rows that decode
stand in the first slots, so what they attend to is a view, not a copy.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

LENGTH_STEP = 256  # positions; growing copies the cache, so it grows in steps


@dataclass(frozen=True)
class DecodePass:
    """One new position for each of the first slots: `positions[n]`. Rows attend to the first `length` positions."""

    slots: Tensor  # arange(n)
    positions: Tensor
    length: int

    def write(self, stored: Tensor, new: Tensor) -> Tensor:
        """Put `new[n, kv_heads, 1, head_dim]` in place; what to attend to, `[n, kv_heads, length, head_dim]`."""
        stored[self.slots, :, self.positions] = new[:, :, 0]
        return stored[: len(self.slots), :, : self.length]


@dataclass(frozen=True)
class PrefillPass:
    """Several new positions for some slots: `slots[i]` gets `counts[i]` from `starts[i]` on, padded on the left."""

    slots: list[int]
    starts: list[int]
    counts: list[int]
    length: int

    def write(self, stored: Tensor, new: Tensor) -> Tensor:
        """Put `new[b, kv_heads, q, head_dim]` in place; what to attend to, `[b, kv_heads, length, head_dim]`."""
        for row, (slot, start, count) in enumerate(zip(self.slots, self.starts, self.counts, strict=True)):
            stored[slot, :, start : start + count] = new[row, :, new.shape[2] - count :]
        if len(self.slots) == 1:
            return stored[self.slots[0] : self.slots[0] + 1, :, : self.length]
        return stored[self.slots, :, : self.length]


class SlotCache(Cache):
    """The cache that the model sees. `plan` says where the pass under way reads and writes."""

    def __init__(self, num_layers: int) -> None:
        self._slot_layers = [_SlotLayer(self) for _ in range(num_layers)]
        super().__init__(layers=list(self._slot_layers))
        self.plan: DecodePass | PrefillPass | None = None
        self.num_slots = 0
        self.length = 0

    def reserve(self, num_slots: int, length: int) -> None:
        """Make room for so many slots of so many positions, keeping what is there."""
        if num_slots <= self.num_slots and length <= self.length:
            return
        if num_slots > self.num_slots:
            self.num_slots = max(num_slots, 2 * self.num_slots)
        if length > self.length:
            self.length = -(-length // LENGTH_STEP) * LENGTH_STEP
        for layer in self._slot_layers:
            layer.grow()

    def swap(self, one: int, other: int) -> None:
        """Exchange two slots."""
        for layer in self._slot_layers:
            for stored in layer.stored:
                stored[[one, other]] = stored[[other, one]]

    def move(self, source: int, target: int) -> None:
        """Copy one slot over another."""
        for layer in self._slot_layers:
            for stored in layer.stored:
                stored[target] = stored[source]


class _SlotLayer(CacheLayerMixin):
    """Keys and values of one layer. The first pass tells their shape, so they are made then."""

    keys: Tensor
    values: Tensor

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.cache = cache

    @property
    def stored(self) -> list[Tensor]:
        return [self.keys, self.values] if self.is_initialized else []

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys = self._room(key_states)
        self.values = self._room(value_states)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        plan = self.cache.plan
        if plan is None:
            raise RuntimeError("the slot cache was used outside of a planned pass")
        return plan.write(self.keys, key_states), plan.write(self.values, value_states)

    def grow(self) -> None:
        if self.is_initialized:
            self.keys = self._grown(self.keys)
            self.values = self._grown(self.values)

    def _room(self, like: Tensor) -> Tensor:
        # Zeros, not empty memory: masked positions still enter a product with weight 0, and 0 * NaN is NaN.
        return like.new_zeros(self.cache.num_slots, like.shape[1], self.cache.length, like.shape[3])

    def _grown(self, old: Tensor) -> Tensor:
        new = self._room(old)
        new[: old.shape[0], :, : old.shape[2]] = old
        return new

    # The model is always given its positions and its mask, so the rest of a cache's duties only report the plan.
    def get_seq_length(self) -> int:
        return 0 if self.cache.plan is None else self.cache.plan.length

    def get_max_length(self) -> int:
        return -1

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length(), 0
