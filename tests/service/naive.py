"""The oracle of an answer: one flat loop in which everything is computed again from all ids at each step."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from semiparametric.pair import Gen
from semiparametric.store import Store
from service.decoding.request import GenerationRequest

QueryOf = Callable[[list[int], str], NDArray[np.float32]]
"""The query of a lookup, float32[d], from all ids up to `[Ret]` or from the question and the text written so far."""


def answered_naively(gen: Gen, store: Store, request: GenerationRequest, query_of: QueryOf) -> tuple[str, list[str]]:
    """The greedy text, and the ids of its passages in order."""
    control, codec = gen.spec.control, gen.codec
    ids, cited, new = codec.prompt(request.question), False, 0
    text_ids: list[int] = []
    used: list[int] = []
    if request.retrieval == "first":
        ids.append(control.ret)
    while new < request.max_new_tokens or ids[-1] == control.ret:  # a lookup asked for by the last token is still made
        if ids[-1] == control.ret:
            said = codec.decode(text_ids).strip()
            query = query_of(ids, f"{request.question}\n{said}" if said else request.question)
            row = next(hit.row for hit in store.search(query[None], 10)[0] if hit.row not in used)
            used.append(row)
            ids += [*codec.passage(store.passage(row)), control.cs]
            cited = True
            continue
        with torch.no_grad():
            logits = gen.model(input_ids=torch.tensor([ids])).logits[0, -1]
        may_ask = not cited and len(used) < request.max_retrievals
        logits[[control.cs, *([] if may_ask else [control.ret]), *([] if cited else [control.ce])]] = -torch.inf
        ids.append(int(logits.argmax()))
        new += 1
        if ids[-1] == codec.eos_id:
            break
        if ids[-1] == control.ce:
            cited = False
        elif ids[-1] != control.ret:
            text_ids.append(ids[-1])
    return codec.decode(text_ids), [store.passage(row).id for row in used]
