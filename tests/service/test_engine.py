import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from semiparametric.errors import BusyError, CosupError, InputError, PairError
from semiparametric.pair import Gen, load_gen
from service.decoding.engine import Sampling, Session
from service.engines.sampling import choice_at, choose
from service.engines.transformers import TransformersEngine
from tests.service.lively import lively_gen
from tests.service.running import running_engine

RET, STOP = 97, 2
VOCABULARY: dict[str, Any] = {"vocab_size": 100, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
GROUPED: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    **VOCABULARY,
}


def tiny_model(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(**GROUPED))
    if kind == "qwen2":
        return Qwen2ForCausalLM(Qwen2Config(**GROUPED))
    if kind == "mistral":
        return MistralForCausalLM(MistralConfig(**GROUPED | {"sliding_window": 90}))
    return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=128, **VOCABULARY))


def gen_of(model: PreTrainedModel, pair: Path) -> Gen:
    gen = load_gen(pair)
    gen.model = model.eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3)
    return gen


async def decoded(session: Session, max_tokens: int, *, forbidden: Sequence[int] = ()) -> list[int]:
    stream = session.decode(forbidden=frozenset(forbidden), stop_ids=frozenset({STOP}), max_tokens=max_tokens)
    return [token async for token in stream]


def recomputed(model: PreTrainedModel, ids: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The oracle: logits and last state after ids, everything computed from the first id."""
    with torch.no_grad():
        output = model(input_ids=torch.tensor([ids]), output_hidden_states=True)
    return output.logits[0, -1], output.hidden_states[-1][0, -1]


def decoded_naively(model: PreTrainedModel, ids: list[int], max_tokens: int, forbidden: Sequence[int]) -> list[int]:
    """Appends greedy tokens to ids; the new ones."""
    new: list[int] = []
    while len(new) < max_tokens and STOP not in new:
        logits, _ = recomputed(model, ids + new)
        logits[list(forbidden)] = -torch.inf
        new.append(int(logits.argmax()))
    ids += new
    return new


def question(index: int) -> list[int]:
    return [3 + (7 * index + 3 * place) % 90 for place in range(2 + 3 * (index % 7))]


async def one_lookup(engine: TransformersEngine, index: int) -> tuple[list[int], np.ndarray, list[int], int]:
    session = await engine.open(question(index), Sampling())
    before = await decoded(session, 4 + index % 3, forbidden=[RET])
    await session.append([RET])
    state = await session.query_state()
    await session.append(question(index + 1) * 2)
    after = await decoded(session, 8, forbidden=[RET])
    await session.close()
    return before, state, after, session.forwarded_tokens


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2", "mistral"])
async def test_many_sessions_equal_a_full_recomputation_of_each(kind: str, tiny_pair: Path) -> None:
    gen = gen_of(tiny_model(kind), tiny_pair)
    gen.spec = gen.spec.model_copy(update={"similarity": "dot"})
    async with running_engine(gen, max_sessions=5, prefill_tokens=16) as engine:
        results = await asyncio.gather(*[one_lookup(engine, index) for index in range(12)])
    for index, (before, state, after, forwarded) in enumerate(results):
        ids = question(index)
        assert before == decoded_naively(gen.model, ids, 4 + index % 3, [RET])
        ids.append(RET)
        expected = recomputed(gen.model, ids)[1].numpy()
        np.testing.assert_allclose(state, expected, rtol=1e-4, atol=1e-5)
        ids += question(index + 1) * 2
        assert after == decoded_naively(gen.model, ids, 8, [RET])
        assert forwarded == len(ids) - 1  # every id once; the last one chosen is never computed


async def test_a_cosine_query_state_has_unit_length(tiny_pair: Path) -> None:
    async with running_engine(load_gen(tiny_pair)) as engine:
        session = await engine.open([1, 5, 6], Sampling())
        state = await session.query_state()
        await session.close()
    assert state.dtype == np.float32
    assert np.linalg.norm(state) == pytest.approx(1, abs=1e-5)


async def test_truncate_forgets_ids_as_if_they_had_never_been_there(tiny_pair: Path) -> None:
    gen = gen_of(tiny_model("llama"), tiny_pair)
    async with running_engine(gen) as engine:
        session = await engine.open([5, 6, 7], Sampling())
        await session.append([RET])
        await session.query_state()
        await session.truncate(3)
        plain = await decoded(session, 6)
        await session.truncate(2)
        await session.append([9, 10])
        rewritten = await decoded(session, 6)
        await session.close()
    assert plain == decoded_naively(gen.model, [5, 6, 7], 6, [])
    assert rewritten == decoded_naively(gen.model, [5, 6, 9, 10], 6, [])


async def test_rows_that_pause_do_not_disturb_those_that_decode(tiny_pair: Path) -> None:
    gen = gen_of(tiny_model("llama"), tiny_pair)
    async with running_engine(gen, max_sessions=8) as engine:
        sessions = [await engine.open(question(index), Sampling()) for index in range(8)]
        first = [await decoded(session, 3) for session in sessions]
        last = await decoded(sessions[7], 30)  # alone behind seven idle rows
        again = await asyncio.gather(*[decoded(session, 5) for session in sessions[:7]])
        for session in sessions:
            await session.close()
    for index, tokens in enumerate(first):
        ids = question(index)
        assert tokens == decoded_naively(gen.model, ids, 3, [])
        assert (last if index == 7 else again[index]) == decoded_naively(gen.model, ids, 30 if index == 7 else 5, [])


async def test_of_what_a_step_brought_those_who_came_to_an_end_are_told_first(tiny_pair: Path) -> None:
    gen = gen_of(tiny_model("llama"), tiny_pair)
    told: list[str] = []

    async def read(name: str, session: Session, tokens: int) -> None:
        stream = session.decode(forbidden=frozenset({STOP}), stop_ids=frozenset(), max_tokens=tokens)
        async for _ in stream:
            told.append(name)

    async with running_engine(gen) as engine:
        goes_on, ends = [await engine.open(question(1), Sampling()) for _ in range(2)]
        await asyncio.gather(read("goes on", goes_on, 6), read("ends", ends, 3))
        for session in (goes_on, ends):
            await session.close()
    first_step, second_step = told[:4], told[4:6]  # the first one computes the question and decodes twice
    assert first_step == ["goes on", "goes on", "ends", "ends"]
    assert second_step == ["ends", "goes on"]


async def test_a_session_may_outgrow_the_memory_it_began_with(tiny_pair: Path) -> None:
    torch.manual_seed(0)
    gen = gen_of(LlamaForCausalLM(LlamaConfig(**GROUPED | {"max_position_embeddings": 512})), tiny_pair)
    ids = [3 + (5 * place) % 90 for place in range(250)]
    async with running_engine(gen, prefill_tokens=64) as engine:
        session = await engine.open(ids, Sampling())
        first = await decoded(session, 20, forbidden=[STOP])
        other = await engine.open(question(1), Sampling())
        results = await asyncio.gather(*[decoded(each, 5, forbidden=[STOP]) for each in (session, other)])
        for each in (session, other):
            await each.close()
    assert first == decoded_naively(gen.model, ids, 20, [STOP])
    assert results == [decoded_naively(gen.model, each, 5, [STOP]) for each in (ids, question(1))]


async def test_closing_in_the_middle_of_decoding_frees_the_place_at_once(tiny_pair: Path) -> None:
    async with running_engine(gen_of(tiny_model("llama"), tiny_pair), max_sessions=1) as engine:
        session = await engine.open([5, 6], Sampling())
        stream = session.decode(forbidden=frozenset({STOP}), stop_ids=frozenset(), max_tokens=120)
        await anext(stream)
        await session.close()
        await session.close()
        following = await asyncio.wait_for(engine.open([7, 8], Sampling()), timeout=10)
        assert len(await decoded(following, 3, forbidden=[STOP])) == 3
        assert session.forwarded_tokens < 100
        with pytest.raises(CosupError, match="the session is closed"):
            await session.query_state()
        await following.close()


async def test_a_full_engine_lets_some_wait_and_refuses_the_rest(tiny_pair: Path) -> None:
    async with running_engine(load_gen(tiny_pair), max_sessions=1, max_waiting=1) as engine:
        first = await engine.open([5], Sampling())
        second = asyncio.create_task(engine.open([6], Sampling()))
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="all places are taken and 1 requests wait"):
            await engine.open([7], Sampling())
        await first.close()
        await (await second).close()


async def test_a_waiting_call_that_is_cancelled_leaves_the_queue(tiny_pair: Path) -> None:
    async with running_engine(load_gen(tiny_pair), max_sessions=1, max_waiting=1) as engine:
        first = await engine.open([5], Sampling())
        waiting = asyncio.create_task(engine.open([6], Sampling()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        other = asyncio.create_task(engine.open([7], Sampling()))
        await asyncio.sleep(0)
        await first.close()
        assert await decoded(await other, 2)


async def test_a_failed_step_fails_all_sessions_and_the_engine_goes_on(tiny_pair: Path) -> None:
    async with running_engine(load_gen(tiny_pair), max_sessions=2) as engine:
        healthy = await engine.open([5, 6], Sampling())
        await decoded(healthy, 2)
        broken = await engine.open([5, 10**6], Sampling())  # no such id in the embedding: the model raises
        with pytest.raises(CosupError, match=r"decoding failed .*IndexError"):
            await broken.query_state()
        with pytest.raises(CosupError, match="decoding failed"):
            await decoded(healthy, 2)
        await broken.close()
        await healthy.close()
        after = await engine.open([5, 6], Sampling())
        assert len(await decoded(after, 3)) == 3
        await after.close()


async def test_a_stopped_engine_fails_its_sessions_and_opens_none(tiny_pair: Path) -> None:
    engine = TransformersEngine(load_gen(tiny_pair), max_sessions=1)
    with pytest.raises(CosupError, match="not running"):
        await engine.open([5], Sampling())
    await engine.start()
    session = await engine.open([5], Sampling())
    waiting = asyncio.create_task(engine.open([6], Sampling()))
    await asyncio.sleep(0)
    await engine.stop()
    await engine.stop()
    with pytest.raises(CosupError, match="stopped"):
        await decoded(session, 2)
    await session.close()
    with pytest.raises(CosupError, match="stopped"):
        await waiting


async def test_what_does_not_fit_the_context_is_refused(tiny_pair: Path) -> None:
    async with running_engine(load_gen(tiny_pair), context_length=8) as engine:
        for ids in ([], list(range(9))):
            with pytest.raises(InputError, match=f"{len(ids)} ids do not fit a context of 8"):
                await engine.open(ids, Sampling())
        session = await engine.open([1, 5, 6], Sampling())
        with pytest.raises(InputError, match="6 ids after 3 exceed 8"):
            await session.append([7] * 6)
        with pytest.raises(InputError, match="6 new tokens are asked for where 5 fit"):
            await decoded(session, 6)
        with pytest.raises(InputError, match="cannot be cut to 4"):
            await session.truncate(4)
        assert len(await decoded(session, 5, forbidden=[STOP])) == 5
        await session.close()


def test_a_context_longer_than_the_models_and_models_without_a_cache_are_refused(tiny_pair: Path) -> None:
    gen = load_gen(tiny_pair)
    with pytest.raises(InputError, match="Give at most 511"):
        TransformersEngine(gen, context_length=513)
    gen.model = MambaForCausalLM(MambaConfig(vocab_size=100, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(PairError, match="MambaForCausalLM has linear_attention layers"):
        TransformersEngine(gen)
    gen.model = BloomForCausalLM(BloomConfig(vocab_size=100, hidden_size=16, n_layer=1, n_head=2))
    with pytest.raises(PairError, match="BloomForCausalLM takes no position_ids"):
        TransformersEngine(gen)


def test_a_sliding_window_bounds_the_context(tiny_pair: Path) -> None:
    assert TransformersEngine(gen_of(tiny_model("mistral"), tiny_pair)).context_length == 89


async def test_the_same_seed_gives_the_same_tokens_whatever_the_batch(tiny_pair: Path) -> None:
    async def sampled(engine: TransformersEngine, seed: int) -> list[int]:
        session = await engine.open([1, 5, 6], Sampling(temperature=1.5, top_p=0.95, seed=seed))
        tokens = await decoded(session, 20, forbidden=[STOP])
        await session.close()
        return tokens

    async with running_engine(lively_gen(tiny_pair)) as engine:
        alone = [await sampled(engine, seed) for seed in range(4)]
        together = await asyncio.gather(*[sampled(engine, seed % 4) for seed in range(12)])
    assert together == alone * 3
    assert len({tuple(tokens) for tokens in alone}) == 4


def test_samples_follow_the_distribution_cut_at_top_p_and_masked() -> None:
    logits = torch.log(torch.tensor([0.5, 0.2, 0.15, 0.1, 0.05]))
    count = 4000
    choices = [choice_at(Sampling(temperature=1.0, top_p=0.8, seed=seed), 7) for seed in range(count)]
    tokens = choose(logits.repeat(count, 1), choices, [frozenset({1})] * count)
    shares = np.bincount(tokens, minlength=5) / count
    # Without id 1: 0.625, 0.1875, 0.125, 0.0625; the first two reach 0.8125, so the rest is cut.
    np.testing.assert_allclose(shares, [0.625 / 0.8125, 0, 0.1875 / 0.8125, 0, 0], atol=0.03)


@pytest.mark.parametrize(("temperature", "top_p"), [(2.0, 5e-324), (5e-324, 1.0), (1e-30, 0.5), (5e-324, 5e-324)])
def test_the_smallest_temperature_and_top_p_take_the_most_likely_allowed_token(
    temperature: float, top_p: float
) -> None:
    logits = torch.tensor([[-1.0, 300.0, 2.0, 1.0]])
    choices = [choice_at(Sampling(temperature=temperature, top_p=top_p, seed=1), 3)]
    assert choose(logits, choices, [frozenset({1})]) == [2]


def test_temperature_zero_takes_the_most_likely_allowed_token() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]])
    choices = [choice_at(Sampling(), 3), choice_at(Sampling(), 4)]
    assert choose(logits, choices, [frozenset(), frozenset({1})]) == [1, 2]
