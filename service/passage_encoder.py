"""Embseq in the service, where a setting asks for it: passages to vectors, as an index of the pair holds them."""

from collections.abc import Sequence
from dataclasses import dataclass

import anyio.to_thread
import numpy as np
import torch
from numpy.typing import NDArray

from semiparametric.embedding import embed_tokens, tokenize_rendered
from semiparametric.pair import Embseq, load_embseq
from semiparametric.spec import PairSpec
from service.engines.admission import Places
from service.settings import ServeSettings

_ENCODED_AT_ONCE = 64  # passages; between such pieces a request whose client has left ends


@dataclass(frozen=True)
class Encoded:
    """Vectors of passages.

    vectors: `float32[n, d]`.
    tokens: that Embseq read.
    """

    vectors: NDArray[np.float32]
    tokens: int


class PassageEncoder:
    """Encodes for one request at a time, since each of them uses all of the device; a bounded number waits.

    Args:
        embseq: The pair's.
        max_waiting: Requests that may wait.
    """

    def __init__(self, embseq: Embseq, *, max_waiting: int) -> None:
        self._embseq = embseq
        self._place = Places(1, max_waiting)

    @property
    def spec(self) -> PairSpec:
        """The pair's."""
        return self._embseq.spec

    async def encode(self, texts: Sequence[str], dimension: int | None) -> Encoded:
        """Encode passages that are in the pair's form, by the functions that the index builder encodes with.

        Raises:
            BusyError: Too many wait.
        """
        await self._place.take()
        try:
            pieces = []
            for start in range(0, len(texts), _ENCODED_AT_ONCE):
                some = texts[start : start + _ENCODED_AT_ONCE]
                # a cancelled task waits for its thread here, as it would not with asyncio: the place is not free before
                pieces.append(await anyio.to_thread.run_sync(self._encode, some, dimension))
        finally:
            self._place.give_back()
        return Encoded(np.concatenate([one.vectors for one in pieces]), sum(one.tokens for one in pieces))

    def _encode(self, texts: Sequence[str], dimension: int | None) -> Encoded:
        rows = tokenize_rendered(self._embseq.tokenizer, self.spec, texts).rows
        return Encoded(embed_tokens(self._embseq, rows, dimension=dimension), sum(map(len, rows)))


def load_passage_encoder(settings: ServeSettings) -> PassageEncoder:
    """Load Embseq where Gen runs.

    Raises:
        PairError: It cannot be loaded.
    """
    embseq = load_embseq(settings.pair, device=settings.device, dtype=getattr(torch, settings.dtype))
    return PassageEncoder(embseq, max_waiting=settings.queue)
