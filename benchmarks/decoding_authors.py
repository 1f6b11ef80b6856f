"""The authors' protocol, the other side of `benchmarks.decoding`: batch 1, and a new `generate` after each lookup."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from benchmarks.decoding_scene import Scene
from benchmarks.decoding_sides import Schedule
from semiparametric.embedding import as_query
from service.decoding.lookup import look_up


class _Forced(LogitsProcessor):
    """Forces the scheduled tokens and bans control tokens and EOS everywhere else."""

    def __init__(self, schedule: Schedule, banned: Sequence[int], done: int, start: int) -> None:
        self.schedule = schedule
        self.banned = list(banned)
        self.offset = done - start  # from a length of the whole text to a place in the answer

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        forced = self.schedule[self.offset + input_ids.shape[1]]
        if forced is None:
            scores[:, self.banned] = -torch.inf
        else:
            scores[:] = -torch.inf
            scores[:, forced] = 0
        return scores


class _OneAfter(StoppingCriteria):
    """Stops one token after `[Ret]`, so that the hidden state at `[Ret]` exists."""

    def __init__(self, ret: int, start: int) -> None:
        self.ret = ret
        self.start = start

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: object) -> Tensor:
        stop = input_ids.shape[1] > self.start + 1 and int(input_ids[0, -2]) == self.ret
        return torch.tensor([stop])


@torch.inference_mode()
def answer_as_the_authors(scene: Scene, question: str, schedule: Schedule) -> list[int]:
    """One question as the authors' code does it: batch 1, and after each lookup `generate` runs on the whole text.

    Within a run, transformers keeps its usual key-value cache, and the hidden states of all layers and steps are kept.
    """
    gen, codec = scene.gen, scene.gen.codec
    control = codec.control
    banned = [*control.ids, codec.eos_id]
    ids, used = codec.prompt(question), set[int]()
    tokens: list[int] = []
    generate_once: Any = gen.model.generate
    while True:
        output = generate_once(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=False,
            max_new_tokens=len(schedule) - len(tokens),
            eos_token_id=codec.eos_id,
            pad_token_id=0,
            logits_processor=LogitsProcessorList([_Forced(schedule, banned, len(tokens), len(ids))]),
            stopping_criteria=StoppingCriteriaList([_OneAfter(control.ret, len(ids))]),
            output_hidden_states=True,
            return_dict_in_generate=True,
        )
        new = output.sequences[0, len(ids) :].tolist()
        if new[-1] == codec.eos_id:
            return [*tokens, *new]
        new.pop()  # the token after [Ret] served only to have the state computed
        tokens += new
        query = as_query(output.hidden_states[-1][-1][0, -1], gen.spec)
        found = look_up(scene.store, query, top_k=1, temperature=gen.spec.temperature, used=used)[0]
        used.add(found.row)
        ids += [*new, *codec.passage(found.passage), control.cs]
