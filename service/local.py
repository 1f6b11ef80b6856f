"""Asking a pair many questions on this machine, without a server: the one door through which evaluation comes.

All questions go through the decoding engine, as many at a time as it has places for.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from semiparametric.errors import CosupError, InputError
from service.decoding.answer import Answer, ScoredPassage
from service.decoding.events import DoneEvent
from service.decoding.loop import Retrieval
from service.decoding.request import GenerationRequest
from service.resources import Resources, open_resources
from service.settings import ModelSettings

_CONCURRENT = 16


@dataclass(frozen=True)
class Reply:
    """What a pair does with one question.

    found: passages of the lookup at the end of the prompt, best first.
    answer: its greedy answer; None where only the lookup was asked for.
    refusal: why the question could not be asked, for example that it is too long; None where it could.
    """

    found: list[ScoredPassage]
    answer: Answer | None
    refusal: str | None = None


@dataclass(frozen=True)
class Asking:
    """How questions are asked.

    top_k: passages that the lookup of each question reports.
    num_answered: questions that are answered too, the first ones; None answers all, 0 none.
    retrieval, max_retrievals, max_new_tokens: limits of each answer, as in `/generate`.
    device: where Gen runs.
    """

    top_k: int = 5
    num_answered: int | None = None
    retrieval: Retrieval = "auto"
    max_retrievals: int = 4
    max_new_tokens: int = 96
    device: str = "cpu"


def answer_all(
    pair: Path,
    index: Path,
    questions: Sequence[str],
    asking: Asking | None = None,
    *,
    on_reply: Callable[[], None] | None = None,
) -> list[Reply]:
    """Look every question up and answer the first ones, greedily; the replies stand in the order of the questions.

    A question that is refused (empty, too long) has a reply that says so; the others are answered all the same.

    Args:
        pair: Folder of the pair.
        index: Folder of an index built with it.
        questions: In any number.
        asking: How they are asked.
        on_reply: Called when a question is done with.

    Raises:
        PairError, StoreError: The pair or the index cannot be opened, or they do not belong together.
        CosupError: The engine failed.
    """
    return asyncio.run(_answer_all(pair, index, questions, asking or Asking(), on_reply))


async def _answer_all(
    pair: Path, index: Path, questions: Sequence[str], asking: Asking, on_reply: Callable[[], None] | None
) -> list[Reply]:
    num_answered = len(questions) if asking.num_answered is None else asking.num_answered
    gate = asyncio.Semaphore(_CONCURRENT)
    settings = ModelSettings(pair=pair, index=index, device=asking.device)
    async with open_resources(settings, max_sessions=_CONCURRENT, queue=_CONCURRENT) as resources:

        async def ask(number: int, question: str) -> Reply:
            async with gate:
                reply = await _ask(resources, question, asking, is_answered=number < num_answered)
            if on_reply:
                on_reply()
            return reply

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(ask(number, question)) for number, question in enumerate(questions)]
        except ExceptionGroup as errors:  # one cause is enough, and callers know how to show it
            raise errors.exceptions[0] from errors
    return [task.result() for task in tasks]


async def _ask(resources: Resources, question: str, asking: Asking, *, is_answered: bool) -> Reply:
    try:
        found = await resources.retrieve(resources.indexes.default.current, question, asking.top_k, None)
        return Reply(found, await _answer(resources, question, asking) if is_answered else None)
    except InputError as error:
        return Reply([], None, str(error))


async def _answer(resources: Resources, question: str, asking: Asking) -> Answer:
    request = GenerationRequest(
        question,
        retrieval=asking.retrieval,
        max_retrievals=asking.max_retrievals,
        max_new_tokens=asking.max_new_tokens,
    )
    async with aclosing(resources.generate(resources.indexes.default.current, request)) as events:
        async for event in events:
            if isinstance(event, DoneEvent):
                return event.answer
    raise CosupError("the answer ended without its last event")
