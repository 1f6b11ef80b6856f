"""Asking a pair many questions on this machine, without a server: what evaluation does where no service runs.

All questions go through the decoding engine, as many at a time as it has places for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from semiparametric.errors import InputError
from service.decoding.answer import Answer, ScoredPassage
from service.decoding.engine import Sampling
from service.decoding.events import whole_answer
from service.decoding.loop import Retrieval
from service.decoding.request import GenerationRequest
from service.resources import Resources, open_resources
from service.settings import ModelSettings

__all__ = ["Ask", "ModelSettings", "Reply", "answer_all", "ask_all"]

CONCURRENT = 16
"""Questions that are asked at a time."""


@dataclass(frozen=True)
class Ask:
    """One question, and how it is asked.

    top_k: passages that a lookup at the end of the prompt reports; 0 makes no such lookup.
    is_answered: whether it is answered too.
    candidates: ids of the only passages that lookups may choose from; None for all.
    instruction: stands before the question in place of the pair's own; None keeps that.
    retrieval, max_retrievals, max_new_tokens, temperature, top_p, seed: as in `/generate`.
    """

    question: str
    top_k: int = 5
    is_answered: bool = True
    candidates: Sequence[str] | None = None
    instruction: str | None = None
    retrieval: Retrieval = "auto"
    max_retrievals: int = 4
    max_new_tokens: int = 96
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True)
class Reply:
    """What a pair does with one question.

    found: passages of the lookup at the end of the prompt, best first; None where none was asked for or possible.
    answer: its answer; None where only the lookup was asked for.
    refusal: why the question could not be asked, for example that it is too long; None where it could.
    """

    found: list[ScoredPassage] | None
    answer: Answer | None
    refusal: str | None = None


Replied = TypeVar("Replied")


def answer_all(
    settings: ModelSettings, asks: Sequence[Ask], on_reply: Callable[[int, Reply], None] | None = None
) -> list[Reply]:
    """Look every question up and answer it; the replies stand in the order of the questions.

    A question that is refused (empty, too long) has a reply that says so; the others are answered all the same.

    Args:
        settings: The pair, an index built with it, and where Gen runs.
        asks: In any number.
        on_reply: Told of each reply as it comes, with the number of its question; replies come in any order.

    Raises:
        PairError, StoreError: The pair or the index cannot be opened, or they do not belong together.
        CosupError: The engine failed.
    """
    return asyncio.run(_answer_all(settings, asks, on_reply))


async def ask_all(
    ask: Callable[[Ask], Awaitable[Replied]],
    asks: Sequence[Ask],
    on_reply: Callable[[int, Replied], None] | None = None,
) -> list[Replied]:
    """Ask all, `CONCURRENT` at a time, by whatever answers one; what it raises ends all."""
    gate = asyncio.Semaphore(CONCURRENT)

    async def one(number: int, asked: Ask) -> Replied:
        async with gate:
            reply = await ask(asked)
        if on_reply:
            on_reply(number, reply)
        return reply

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number, asked)) for number, asked in enumerate(asks)]
    except ExceptionGroup as errors:  # one cause is enough, and callers know how to show it
        raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


async def _answer_all(
    settings: ModelSettings, asks: Sequence[Ask], on_reply: Callable[[int, Reply], None] | None
) -> list[Reply]:
    async with open_resources(settings, max_sessions=CONCURRENT, queue=CONCURRENT) as resources:
        return await ask_all(lambda ask: _reply(resources, ask), asks, on_reply)


async def _reply(resources: Resources, ask: Ask) -> Reply:
    try:
        version = resources.indexes.default.current
        rows = await version.candidate_rows(ask.candidates, {})
        found = None
        if ask.top_k:
            found = await resources.retrieve(version, ask.question, ask.top_k, rows, ask.instruction)
        if not ask.is_answered:
            return Reply(found, None)
        request = GenerationRequest(
            ask.question,
            retrieval=ask.retrieval,
            max_retrievals=ask.max_retrievals,
            rows=rows,
            max_new_tokens=ask.max_new_tokens,
            sampling=Sampling(ask.temperature, ask.top_p, ask.seed),
            instruction=ask.instruction,
        )
        return Reply(found, await whole_answer(resources.generate(version, request)))
    except InputError as error:
        return Reply(None, None, str(error))
