"""What a run writes down while it answers, on the real engine with a Gen that often writes control tokens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import pytest_asyncio

from semiparametric.store import Store
from service.decoding.answer import Answer
from service.decoding.engine import Sampling
from service.decoding.events import DoneEvent, TokenEvent
from service.decoding.generation import generate
from service.decoding.request import GenerationRequest
from service.decoding.timeline import LookupTimes, SegmentTimes, Timeline
from service.engines.transformers import TransformersEngine
from tests.service.lively import lively_gen
from tests.service.running import running_engine
from tests.small_index import build_small_index

pytestmark = pytest.mark.asyncio(loop_scope="module")

LIVELY = GenerationRequest("Who lights the lamp?", max_new_tokens=60, sampling=Sampling(temperature=1.0, seed=3))


class Asked:
    """An engine and a store that can be asked."""

    def __init__(self, engine: TransformersEngine, store: Store, pair: Path) -> None:
        self.engine, self.store = engine, store
        self.codec = lively_gen(pair).codec

    async def answer(self, request: GenerationRequest) -> tuple[Answer, Timeline]:
        timeline = Timeline()
        async with aclosing(generate(self.engine, self.store, self.codec, request, timeline=timeline)) as events:
            done = [event async for event in events][-1]
        assert isinstance(done, DoneEvent)
        return done.answer, timeline


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asked(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asked]:
    with Store.open(build_small_index(tiny_pair, tmp_path_factory.mktemp("index") / "small")) as store:
        async with running_engine(lively_gen(tiny_pair)) as engine:
            yield Asked(engine, store, tiny_pair)


async def test_segments_and_lookups_stand_in_the_order_of_the_answer_and_hold_all_tokens(asked: Asked) -> None:
    answer, timeline = await asked.answer(LIVELY)
    assert answer.usage.retrievals > 1, "a seed for which Gen looks up"
    segments = [step for step in timeline.steps if isinstance(step, SegmentTimes)]
    assert sum(len(segment.tokens) for segment in segments) == answer.usage.completion_tokens
    assert len(list(timeline.lookups())) == answer.usage.retrievals
    for step, following in zip(timeline.steps, timeline.steps[1:], strict=False):
        assert step.ended <= following.started
        if isinstance(step, LookupTimes):
            assert isinstance(following, SegmentTimes)
            assert following.passage_id == step.passage_id
    assert timeline.started <= timeline.admitted <= timeline.steps[0].started
    assert timeline.steps[-1].ended <= timeline.ended
    assert timeline.ending == answer.finish_reason
    assert timeline.usage == answer.usage


async def test_gaps_lie_within_segments_and_pauses_between_them(asked: Asked) -> None:
    _, timeline = await asked.answer(LIVELY)
    segments = [step for step in timeline.steps if isinstance(step, SegmentTimes)]
    gaps, pauses = list(timeline.token_gaps()), list(timeline.pauses())
    assert len(gaps) == sum(max(0, len(segment.tokens) - 1) for segment in segments)
    assert len(pauses) == len(list(timeline.lookups()))
    for pause, lookup in zip(pauses, timeline.lookups(), strict=True):
        assert pause >= lookup.state_s + lookup.search_s > 0


async def test_a_lookup_whose_passage_has_no_room_says_so(asked: Asked) -> None:
    words = 1000
    while len(asked.codec.prompt("lamp " * words)) + 4 > asked.engine.context_length:
        words -= 1
    answer, timeline = await asked.answer(GenerationRequest("lamp " * words, retrieval="first"))
    assert [lookup.outcome for lookup in timeline.lookups()] == ["no_room"]
    assert answer.finish_reason == timeline.ending == "length"


async def test_an_answer_that_is_left_early_is_aborted_with_the_tokens_so_far(asked: Asked) -> None:
    timeline = Timeline()
    request = GenerationRequest("Who lights the lamp?", retrieval="never", max_new_tokens=200)
    async with aclosing(generate(asked.engine, asked.store, asked.codec, request, timeline=timeline)) as events:
        async for event in events:
            if isinstance(event, TokenEvent):
                break
    assert timeline.ending == "aborted"
    assert timeline.usage is not None
    assert 0 < timeline.usage.completion_tokens < 200
    assert timeline.first_text is not None


async def test_an_answer_that_never_had_a_place_has_no_usage(asked: Asked, tiny_pair: Path) -> None:
    engine = TransformersEngine(lively_gen(tiny_pair), max_sessions=1)
    await engine.start()
    session = await engine.open([1, 2, 3], Sampling())
    timeline = Timeline()
    waiting = asyncio.ensure_future(anext(generate(engine, asked.store, asked.codec, LIVELY, timeline=timeline)))
    await asyncio.sleep(0)
    assert engine.load.waiting == 1
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert timeline.usage is None
    assert (engine.load.running, engine.load.waiting, engine.load.places) == (1, 0, 1)
    await session.close()
    assert engine.load.running == 0
    await engine.stop()
