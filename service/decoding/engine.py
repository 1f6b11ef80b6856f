"""What a decoding engine gives the loop. Implemented once for each backend in `service.engines`."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    temperature: 0 takes the most likely token; above 0 samples from softmax(logits / temperature).
    top_p: sample from the smallest set of tokens that holds this share of the probability, in (0, 1].
    seed: the same seed gives the same tokens, whatever else runs in the batch; None draws one.
    """

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


class Session(Protocol):
    """One sequence in the engine's batch. It owns its ids: those of `open`, of `append`, and every token it decoded.

    One call at a time. A session whose `decode` was not read to its end, or that raised, can only be closed.
    Every method raises CosupError when the engine failed.
    """

    @property
    def forwarded_tokens(self) -> int:
        """Tokens the model computed for this session so far."""
        ...

    @property
    def given_at(self) -> float:
        """When the engine had the token or query state that was read last, in seconds of `time.perf_counter`.

        That may be long before it was read: the engine decodes on while its reader is busy.
        """
        ...

    def decode(
        self, *, forbidden: frozenset[int], stop_ids: frozenset[int], max_tokens: int
    ) -> AsyncGenerator[int, None]:
        """Yield every new token, the stop id included, then end. Forbidden ids are masked before sampling.

        An engine may begin before the first token is read, so that its caller can do something else meanwhile.
        """
        ...

    async def query_state(self) -> NDArray[np.float32]:
        """Gen's last hidden state after the final norm at the last position, projected, as a query: float32[d]."""
        ...

    async def append(self, ids: Sequence[int]) -> None:
        """Put ids at the end of the context. They are computed with the next `decode` or `query_state`."""
        ...

    async def truncate(self, length: int) -> None:
        """Keep only the first `length` ids (at least one) of the context."""
        ...

    async def close(self) -> None:
        """Free the session's place, also in the middle of `decode`. Closing twice does nothing."""
        ...


@dataclass(frozen=True)
class Load:
    """How busy an engine is now.

    running: sessions that are open.
    waiting: calls of `open` that wait for a place.
    places: sessions that can be open at once.
    """

    running: int
    waiting: int
    places: int


class Engine(Protocol):
    """Decodes many sessions in one batch."""

    @property
    def load(self) -> Load:
        """Sessions that run and wait; may be read from any thread."""
        ...

    @property
    def context_length(self) -> int:
        """Ids that fit one session."""
        ...

    async def start(self) -> None:
        """Make ready for `open`."""
        ...

    async def stop(self) -> None:
        """Stop decoding; sessions still open fail with CosupError. Stopping twice does nothing."""
        ...

    async def open(self, ids: Sequence[int], sampling: Sampling) -> Session:
        """Open a session on at least one id; waits for a free place.

        Raises BusyError when too many wait already, InputError when the ids do not fit the context.
        """
        ...
