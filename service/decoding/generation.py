"""Answering a question: the loop says what to do, the engine decodes, the store finds passages.

`generate` is the one function for it; routes, the command line, evaluation and benchmarks all call it.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from semiparametric.codec import Codec
from semiparametric.errors import InputError
from service.decoding.answer import ScoredPassage
from service.decoding.engine import Engine, Sampling
from service.decoding.events import Event
from service.decoding.lookup import Lookups, PassageStore, TextEncoder
from service.decoding.loop import DecodingLoop, Limits
from service.decoding.request import GenerationRequest, check
from service.decoding.run import Run
from service.decoding.timeline import LookupTimes, Timeline


async def generate(
    engine: Engine,
    store: PassageStore | None,
    codec: Codec,
    request: GenerationRequest,
    query_encoder: TextEncoder | None = None,
    timeline: Timeline | None = None,
) -> AsyncGenerator[Event, None]:
    """Answer a question, event by event.

    Closing the generator (or cancelling its task) frees the place in the engine, so close it when leaving it early.

    Args:
        engine: Runs Gen.
        store: What lookups search; None only with `retrieval` `never`.
        codec: Gen's.
        request: The question and how to answer it.
        query_encoder: The pair's, where its query is text (`semiparametric.query_text.load_query_encoder`).
        timeline: Where to write down what happens when; complete when the generator has ended or was closed.

    Raises:
        PairError: The pair's query is text and there is no query encoder.
        InputError: The question is empty or does not fit the context, a limit is out of range, or lookups are wanted
            without a store.
        BusyError: The engine has no place and too many wait.
        CosupError: The engine failed.
    """
    check(request, has_store=store is not None)
    lookups = None if store is None else Lookups(store, codec.spec, query_encoder)
    limits = Limits(request.retrieval, request.max_retrievals, request.max_new_tokens, engine.context_length)
    prompt = _prompt(codec, request.question, request.instruction, engine.context_length)
    loop = DecodingLoop(prompt, control=codec.control, eos_ids=frozenset({codec.eos_id}), limits=limits)
    timeline = timeline or Timeline()
    timeline.started = perf_counter()
    session = await engine.open(loop.context, request.sampling)
    timeline.admitted = perf_counter()
    run = Run(loop, session, lookups, codec, request, len(prompt), timeline)
    try:
        async for event in run.events():
            yield event
    except Exception:
        timeline.ending = "failed"
        raise
    finally:
        timeline.usage, timeline.ended = run.usage, perf_counter()
        await session.close()


async def retrieve(
    engine: Engine,
    store: PassageStore,
    codec: Codec,
    query: str,
    top_k: int,
    rows: NDArray[np.int64] | None = None,
    query_encoder: TextEncoder | None = None,
    times: LookupTimes | None = None,
    instruction: str | None = None,
) -> list[ScoredPassage]:
    """The `top_k` passages nearest to Gen's state at `prompt · [Ret]`, best first.

    Where the pair's query is text, `query_encoder` encodes the query instead, and Gen does not run. What takes how long
    is written down in `times`. `instruction` stands in place of the pair's own.

    Raises:
        InputError: The query is empty or does not fit the context, or `top_k` is below 1.
        BusyError, CosupError: As in `generate`.
    """
    check(GenerationRequest(query, top_k=top_k), has_store=True)
    lookups = Lookups(store, codec.spec, query_encoder)
    prompt = _prompt(codec, query, instruction, engine.context_length)
    times = times or LookupTimes()
    times.started = perf_counter()
    state = await _state_after(engine, [*prompt, codec.control.ret], times) if lookups.by_state else None
    searching_since = perf_counter()
    _, found = await asyncio.to_thread(lookups.find, state, query, "", top_k=top_k, rows=rows)
    times.searched(perf_counter() - searching_since, found)
    return found


async def _state_after(engine: Engine, ids: Sequence[int], times: LookupTimes) -> NDArray[np.float32]:
    session = await engine.open(ids, Sampling())
    admitted = perf_counter()
    times.queue_s = admitted - times.started
    try:
        return await session.query_state()
    finally:
        times.state_s = perf_counter() - admitted
        await session.close()


def _prompt(codec: Codec, question: str, instruction: str | None, context_length: int) -> list[int]:
    prompt = codec.prompt(question, instruction)
    if len(prompt) + 2 > context_length:
        raise InputError(
            f"has {len(prompt)} tokens with its prompt; the limit is {context_length - 2}",
            where="question",
            remedy="Shorten it",
        )
    return prompt
