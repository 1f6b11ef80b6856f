"""Every family's query state and greedy tokens on the embedded engine equal the Hugging Face reference."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
import torch

from semiparametric.pair import load_gen
from service.decoding.engine import Sampling
from service.engines.transformers import TransformersEngine
from tests.family_pairs import FAMILIES, FORBIDDEN_IDS, PROMPTS, largest_error, reference, save_family_pair


async def run(pair: Path, dtype: torch.dtype) -> list[tuple[np.ndarray, list[int]]]:
    """All prompts in one batch: the state after each, and six tokens."""
    gen = load_gen(pair, dtype=dtype)
    gen.spec = gen.spec.model_copy(update={"similarity": "dot"})  # a cosine's query is scaled to length 1
    engine = TransformersEngine(gen, prefill_tokens=64)
    await engine.start()

    async def one(prompt: list[int]) -> tuple[np.ndarray, list[int]]:
        session = await engine.open(prompt, Sampling())
        state = await session.query_state()
        tokens = session.decode(forbidden=frozenset(FORBIDDEN_IDS), stop_ids=frozenset(), max_tokens=6)
        return state, [token async for token in tokens]

    try:
        return await asyncio.gather(*map(one, PROMPTS))
    finally:
        await engine.stop()


@pytest.mark.parametrize("family", FAMILIES)
async def test_states_and_greedy_tokens_equal_the_reference(family: str, tmp_path: Path) -> None:
    pair = save_family_pair(tmp_path / "pair", family)
    for prompt, (state, tokens) in zip(PROMPTS, await run(pair, torch.float32), strict=True):
        expected, expected_tokens = reference(pair / "gen", prompt, torch.float32)
        assert largest_error(state, expected) < 1e-5
        assert tokens == expected_tokens


@pytest.mark.parametrize("family", FAMILIES)
async def test_states_in_bfloat16_equal_the_reference_within_a_hundredth(family: str, tmp_path: Path) -> None:
    pair = save_family_pair(tmp_path / "pair", family, deviation=0.02)
    for prompt, (state, _) in zip(PROMPTS, await run(pair, torch.bfloat16), strict=True):
        assert largest_error(state, reference(pair / "gen", prompt, torch.bfloat16)[0]) < 1e-2
