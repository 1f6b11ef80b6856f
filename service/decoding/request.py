"""What can be asked of the decoding loop, and what is refused before anything is computed."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError
from service.decoding.engine import Sampling
from service.decoding.loop import Retrieval


@dataclass(frozen=True)
class GenerationRequest:
    """A question and how to answer it.

    retrieval: `auto` (Gen decides), `first` (look up before the first token), `never`.
    max_retrievals: lookups one answer may make.
    top_k: passages a lookup reports; the best one goes into the context.
    min_score: a lookup whose best score is lower inserts nothing; None takes any.
    rows: the only rows of the store to consider, `int64[n]`; None considers all.
    repeat_passages: whether a passage may be inserted twice in one answer.
    max_new_tokens: tokens Gen may choose, control tokens included.
    instruction: stands before the question in place of the pair's own; None keeps that.
    """

    question: str
    retrieval: Retrieval = "auto"
    max_retrievals: int = 4
    top_k: int = 1
    min_score: float | None = None
    rows: NDArray[np.int64] | None = None
    repeat_passages: bool = False
    max_new_tokens: int = 256
    sampling: Sampling = field(default_factory=Sampling)
    instruction: str | None = None


def check(request: GenerationRequest, *, has_store: bool) -> None:
    """Refuse a request that cannot be answered, before anything is computed.

    Raises:
        InputError: A value is out of range, or lookups are wanted without a store.
    """
    if not request.question.strip():
        raise InputError("is empty", where="question", remedy="Ask something")
    for name, least in (("top_k", 1), ("max_new_tokens", 1), ("max_retrievals", 0)):
        value = getattr(request, name)
        if value < least:
            raise InputError(f"{value} is too small", where=name, remedy=f"Give at least {least}")
    if request.sampling.temperature < 0:
        raise InputError(f"{request.sampling.temperature} is negative", where="temperature", remedy="Give 0 or more")
    if not 0 < request.sampling.top_p <= 1:
        raise InputError(f"{request.sampling.top_p} is not a share", where="top_p", remedy="Give above 0 and up to 1")
    if request.retrieval != "never" and not has_store:
        raise InputError(
            f"{request.retrieval!r} needs an index", where="retrieval", remedy="Give an index or ask with `never`"
        )
