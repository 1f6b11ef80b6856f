"""The two sides of `benchmarks.decoding`: this engine through `generate`, and the authors' protocol.

Both return the tokens of each answer, control tokens and EOS included.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from benchmarks.decoding_scene import Scene
from semiparametric.embedding import as_query
from service.decoding.engine import Engine, Sampling, Session
from service.decoding.generation import generate
from service.decoding.lookup import look_up
from service.decoding.request import GenerationRequest

Schedule = Sequence[int | None]


class ScheduledEngine:
    """An engine for one answer whose session gives the scheduled control tokens as if the model had chosen them."""

    def __init__(self, engine: Engine, schedule: Schedule) -> None:
        self.engine = engine
        self.schedule = schedule
        self.tokens: list[int] = []

    @property
    def context_length(self) -> int:
        """The engine's."""
        return self.engine.context_length

    async def start(self) -> None:
        """Start the engine."""
        await self.engine.start()

    async def stop(self) -> None:
        """Stop the engine."""
        await self.engine.stop()

    async def open(self, ids: Sequence[int], sampling: Sampling) -> "ScheduledSession":
        """Open the one session."""
        return ScheduledSession(await self.engine.open(ids, sampling), self)


class ScheduledSession:
    """Everything but `decode` is the real session's."""

    def __init__(self, session: Session, engine: ScheduledEngine) -> None:
        self.session = session
        self.engine = engine

    @property
    def forwarded_tokens(self) -> int:
        """The session's."""
        return self.session.forwarded_tokens

    async def decode(
        self, *, forbidden: frozenset[int], stop_ids: frozenset[int], max_tokens: int
    ) -> AsyncGenerator[int, None]:
        """Free tokens up to the next forced one, then that one."""
        done, schedule = self.engine.tokens, self.engine.schedule
        free = next(index for index, token in enumerate(schedule[len(done) :]) if token is not None)
        if free:
            stream = self.session.decode(forbidden=forbidden | stop_ids, stop_ids=frozenset(), max_tokens=free)
            async for token in stream:
                done.append(token)
                yield token
        forced = schedule[len(done)]
        if forced is not None:
            await self.session.append([forced])
            done.append(forced)
            yield forced

    async def query_state(self) -> NDArray[np.float32]:
        """The session's."""
        return await self.session.query_state()

    async def append(self, ids: Sequence[int]) -> None:
        """Append to the session."""
        await self.session.append(ids)

    async def truncate(self, length: int) -> None:
        """Truncate the session."""
        await self.session.truncate(length)

    async def close(self) -> None:
        """Close the session."""
        await self.session.close()


async def answer_together(engine: Engine, scene: Scene, schedule: Schedule) -> list[list[int]]:
    """All questions at once on this engine."""

    async def one(question: str) -> list[int]:
        scheduled = ScheduledEngine(engine, schedule)
        request = GenerationRequest(question, max_retrievals=len(schedule), max_new_tokens=len(schedule))
        async for _ in generate(scheduled, scene.store, scene.gen.codec, request):
            pass
        return scheduled.tokens

    return await asyncio.gather(*[one(question) for question in scene.questions])


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
