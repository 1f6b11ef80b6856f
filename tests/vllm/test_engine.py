"""The vLLM engine against the embedded one, on the real vLLM: the same answers, whatever else happens in the batch."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest
import pytest_asyncio
import torch
from transformers import AutoModelForCausalLM

from semiparametric.errors import BusyError, CosupError, InputError
from semiparametric.pair import load_gen, read_gen
from semiparametric.store import Store
from service.decoding.answer import Answer
from service.decoding.engine import Engine, Sampling, Session
from service.decoding.request import GenerationRequest
from service.engines.transformers import TransformersEngine
from tests.family_pairs import save_family_pair
from tests.service.test_generation import QUESTIONS, answer_of, scores_of
from tests.small_index import build_small_index
from tests.vllm.running import SESSIONS, WAITING, running_vllm

if TYPE_CHECKING:
    from service.engines.vllm.engine import VllmEngine

pytestmark = pytest.mark.slow
with_engine = pytest.mark.asyncio(loop_scope="module")

CONTEXT = 200
EOS = 2


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_family_pair(tmp_path_factory.mktemp("pair") / "lively")


@pytest.fixture(scope="module")
def store(pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store.open(build_small_index(pair, tmp_path_factory.mktemp("index") / "small"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(pair: Path) -> AsyncIterator["VllmEngine"]:
    async with running_vllm(
        pair, context_length=CONTEXT, enable_chunked_prefill=True, max_num_batched_tokens=96
    ) as engine:
        yield engine


def requests() -> list[GenerationRequest]:
    """64 questions; every third one answers until its context is full, every fifth one samples."""
    return [
        GenerationRequest(
            f"{question} {times}",
            retrieval="first" if number % 2 else "auto",
            max_new_tokens=120 if number % 3 == 0 else 24,
            max_retrievals=6,
            repeat_passages=True,
            sampling=Sampling(1.0, 0.95, seed=number) if number % 5 == 0 else Sampling(),
        )
        for times in range(4)
        for number, question in enumerate(QUESTIONS)
    ]


async def answers_of(engine: Engine, store: Store, pair: Path, asked: Sequence[GenerationRequest]) -> list[Answer]:
    gen = load_gen(pair)
    return await asyncio.gather(*[answer_of(engine, store, gen, request) for request in asked])


async def answers_of_the_embedded_engine(store: Store, pair: Path, asked: Sequence[GenerationRequest]) -> list[Answer]:
    engine = TransformersEngine(load_gen(pair), max_sessions=SESSIONS, context_length=CONTEXT)
    await engine.start()
    try:
        return await answers_of(engine, store, pair, asked)
    finally:
        await engine.stop()


async def decoded(session: Session, max_tokens: int, *, forbidden: Sequence[int] = ()) -> list[int]:
    stream = session.decode(forbidden=frozenset(forbidden), stop_ids=frozenset({EOS}), max_tokens=max_tokens)
    return [token async for token in stream]


@with_engine
async def test_answers_equal_the_embedded_engines_alone_in_a_crowd_and_with_a_warm_cache(
    engine: "VllmEngine", store: Store, pair: Path
) -> None:
    expected = await answers_of_the_embedded_engine(store, pair, requests())
    crowd = await answers_of(engine, store, pair, requests())
    warm = await answers_of(engine, store, pair, requests())
    alone = [(await answers_of(engine, store, pair, [request]))[0] for request in requests()[:6]]
    assert sum(len(answer.citations) for answer in expected) > 64
    assert {answer.finish_reason for answer in expected} == {"length", "stop"}
    for answers in (crowd, warm, alone):
        assert [_ids(answer) for answer in answers] == [_ids(answer) for answer in expected[: len(answers)]]
        assert [answer.text for answer in answers] == [answer.text for answer in expected[: len(answers)]]
        np.testing.assert_allclose(scores_of(answers), scores_of(expected[: len(answers)]), atol=1e-4)


def _ids(answer: Answer) -> list[tuple[int, int, str]]:
    return [(citation.start, citation.end, citation.passage_id) for citation in answer.citations]


async def test_answers_stay_the_same_where_the_cache_is_too_small_for_the_crowd(store: Store, pair: Path) -> None:
    """vLLM then throws requests out of the batch and computes them again later, also between [Ret] and its state."""
    asked = requests()[:32]
    expected = await answers_of_the_embedded_engine(store, pair, asked)
    few_blocks = 20  # 640 ids, three or four answers
    async with running_vllm(pair, context_length=CONTEXT, num_gpu_blocks_override=few_blocks) as engine:
        assert not engine.holds_all
        answers = await answers_of(engine, store, pair, asked)
        preempted = num_preempted()
    assert preempted > 0
    assert [answer.text for answer in answers] == [answer.text for answer in expected]
    assert [_ids(answer) for answer in answers] == [_ids(answer) for answer in expected]


def num_preempted() -> float:
    from prometheus_client import REGISTRY

    samples = [sample for metric in REGISTRY.collect() for sample in metric.samples]
    return sum(float(sample.value) for sample in samples if sample.name == "vllm:num_preemptions_total")


@with_engine
async def test_states_stay_with_their_requests_while_others_come_go_and_are_aborted(
    engine: "VllmEngine", pair: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(pair / "gen")
    dice = Random(5)

    def context() -> list[int]:
        return [dice.randrange(3, 390) for _ in range(dice.randrange(2, 150))]

    async def noise() -> None:
        session = await engine.open(context(), Sampling())
        stream = session.decode(forbidden=frozenset({EOS}), stop_ids=frozenset(), max_tokens=40)
        for _ in range(dice.randrange(1, 6)):
            await anext(stream)
        await session.close()

    async def state(ids: list[int]) -> np.ndarray:
        session = await engine.open(ids[:-1], Sampling())
        try:
            await decoded(session, 1 + len(ids) % 4)
            await session.truncate(len(ids) - 1)
            await session.append(ids[-1:])
            return await session.query_state()
        finally:
            await session.close()

    contexts = [context() for _ in range(48)]
    results = await asyncio.gather(*[state(ids) for ids in contexts], *[noise() for _ in range(40)])
    for ids, found in zip(contexts, results, strict=False):
        with torch.inference_mode():
            raw = model.base_model(torch.tensor([ids])).last_hidden_state[0, -1].numpy()
        np.testing.assert_allclose(found, raw / np.linalg.norm(raw), atol=1e-5)


@with_engine
async def test_forbidden_ids_never_come_however_likely(engine: "VllmEngine") -> None:
    session = await engine.open([5, 6, 7], Sampling(temperature=2.0, seed=1))
    first = await decoded(session, 20)
    await session.truncate(3)
    second = await decoded(session, 60, forbidden=first)
    await session.close()
    assert not set(first) & set(second)


@with_engine
async def test_a_seed_gives_the_same_tokens_alone_and_in_a_crowd(engine: "VllmEngine") -> None:
    async def sampled(seed: int) -> list[int]:
        session = await engine.open([9, 8, 7], Sampling(temperature=1.0, top_p=0.9, seed=seed))
        tokens = await decoded(session, 12, forbidden=[EOS])
        tokens += await decoded(session, 12, forbidden=[EOS])
        await session.close()
        return tokens

    alone = await sampled(3)
    crowd = await asyncio.gather(*[sampled(seed) for seed in range(8)])
    assert crowd[3] == alone
    assert alone[:12] != alone[12:]
    assert len({tuple(tokens) for tokens in crowd}) == 8


@with_engine
async def test_only_what_a_lookup_adds_is_computed_after_it(engine: "VllmEngine") -> None:
    prompt = [3 + (11 * place) % 380 for place in range(130)]
    session = await engine.open(prompt, Sampling())
    await decoded(session, 2, forbidden=[EOS])
    before = session.forwarded_tokens
    await session.append([20, 21, 22])
    await decoded(session, 2, forbidden=[EOS])
    added = session.forwarded_tokens - before
    await session.close()
    assert engine.holds_all
    assert before == 131
    assert added == 5  # the second token of the first turn, the three that were appended, the first token of the second


@with_engine
async def test_a_client_that_leaves_between_a_lookups_question_and_its_answer_leaves_nothing(
    engine: "VllmEngine", store: Store, pair: Path
) -> None:
    for moment in (0.0, 0.002, 0.01, 0.05):
        session = await engine.open([11, 12, 13], Sampling())
        asking = asyncio.create_task(session.query_state())
        await asyncio.sleep(moment)
        asking.cancel()
        await asyncio.wait([asking])
        await session.close()
    for _ in range(100):
        if not engine.llm().output_processor.has_unfinished_requests():
            break
        await asyncio.sleep(0.05)
    assert not engine.llm().output_processor.has_unfinished_requests()
    sessions = [await engine.open([5, 6], Sampling()) for _ in range(SESSIONS)]  # every place is free again
    for session in sessions:
        await session.close()


@with_engine
async def test_closing_in_the_middle_of_decoding_frees_the_request(engine: "VllmEngine") -> None:
    session = await engine.open([5, 6], Sampling())
    stream = session.decode(forbidden=frozenset({EOS}), stop_ids=frozenset(), max_tokens=180)
    await anext(stream)
    await session.close()
    await session.close()
    with pytest.raises(CosupError, match="the session is closed"):
        async for _ in stream:
            pass
    with pytest.raises(CosupError, match="the session is closed"):
        await session.query_state()
    assert session.forwarded_tokens < 100


@with_engine
async def test_more_than_there_is_room_for_is_refused(engine: "VllmEngine") -> None:
    with pytest.raises(InputError, match="do not fit a context of 200"):
        await engine.open([5] * 201, Sampling())
    session = await engine.open([5] * 200, Sampling())
    state = await session.query_state()  # a full context can still look up
    assert np.linalg.norm(state) == pytest.approx(1, abs=1e-5)
    with pytest.raises(InputError, match="1 ids after 200 exceed 200"):
        await session.append([5])
    with pytest.raises(InputError, match="asked for where 0 fit"):
        await decoded(session, 1)
    await session.close()


@with_engine
async def test_a_line_that_is_too_long_is_refused_at_once(engine: "VllmEngine") -> None:
    held = [await engine.open([5], Sampling()) for _ in range(SESSIONS)]
    waiting = [asyncio.create_task(engine.open([5], Sampling())) for _ in range(WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError, match="96 requests wait"):
        await engine.open([5], Sampling())
    for task in waiting:
        task.cancel()
    for session in held:
        await session.close()
    await asyncio.wait(waiting)
    for task in waiting:
        if not task.cancelled():
            await task.result().close()


def test_settings_that_would_break_it_are_refused(pair: Path) -> None:
    from service.engines.vllm.engine import arguments

    for option, said in (
        ({"logits_processors": []}, "it is set by this engine"),
        ({"tensor_paralel_size": 2}, "vLLM has no such argument"),
        ({"data_parallel_size": 2}, "behind a load balancer"),
    ):
        with pytest.raises(InputError, match=said):
            arguments(read_gen(pair), "float32", 4, 64, None, option)


async def test_a_vllm_that_does_not_start_says_why(pair: Path) -> None:
    from service.engines.vllm.engine import VllmEngine

    engine = VllmEngine(
        read_gen(pair),
        dtype="float32",
        max_sessions=4,
        max_waiting=0,
        context_length=64,
        options={"tensor_parallel_size": 0},
    )
    with pytest.raises(
        CosupError, match=r"vLLM does not start \(.*tensor_parallel_size.*engine transformers"
    ) as raised:
        await engine.start()
    assert raised.value.remedy
    with pytest.raises(CosupError, match="the engine is not running"):
        await engine.open([5], Sampling())
    await engine.stop()
