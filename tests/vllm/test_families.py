"""Every family's query state on the real vLLM equals the Hugging Face reference."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from semiparametric.pair import read_gen
from service.engines.vllm.protocol import ARCHITECTURES, FORBIDDEN, STATE, TAKE
from tests.family_pairs import (
    FAMILIES,
    FORBIDDEN_IDS,
    POSITIONS,
    PROMPTS,
    largest_error,
    reference,
    save_family_pair,
)


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # ten families in ten processes would take ten minutes


def run(folder: Path, dtype: str, **options: Any) -> tuple[list[np.ndarray], list[list[int]]]:
    """All prompts in one batch of vLLM: their states, and six tokens each."""
    from vllm import LLM, SamplingParams, TokensPrompt

    from service.engines.vllm.engine import arguments

    given = arguments(read_gen(folder), dtype, 16, POSITIONS - 1, None, {"enforce_eager": True} | options)
    llm = LLM(**{name: value for name, value in given.items() if name != "enable_log_requests"})
    prompts = [TokensPrompt(prompt_token_ids=prompt) for prompt in PROMPTS]
    asked = [SamplingParams(max_tokens=1, detokenize=False, extra_args={STATE: f"{at}"}) for at in range(len(prompts))]
    llm.generate(prompts, asked, use_tqdm=False)
    (states,) = llm.collective_rpc(TAKE, args=([f"{at}" for at in range(len(prompts))],))
    greedy = SamplingParams(
        temperature=0, max_tokens=6, ignore_eos=True, detokenize=False, extra_args={FORBIDDEN: FORBIDDEN_IDS}
    )
    outputs = llm.generate(prompts, greedy, use_tqdm=False)
    tokens = [list(output.outputs[0].token_ids) for output in outputs]
    return [np.frombuffer(states[f"{at}"], np.float32) for at in range(len(prompts))], tokens


def test_every_family_that_is_offered_is_tested() -> None:
    assert set(FAMILIES) == set(ARCHITECTURES)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_states_and_greedy_tokens_equal_the_reference(family: str, tmp_path: Path) -> None:
    exact = save_family_pair(tmp_path / "exact", family)
    rounded = save_family_pair(tmp_path / "rounded", family, deviation=0.02)
    # First: vLLM decorates classes of transformers that it builds upon, as those of Phi, once it has loaded them.
    references = [reference(exact / "gen", prompt, torch.float32) for prompt in PROMPTS]
    rounded_references = [reference(rounded / "gen", prompt, torch.bfloat16)[0] for prompt in PROMPTS]

    states, tokens = run(exact, "float32")
    for state, decoded, (expected, expected_tokens) in zip(states, tokens, references, strict=True):
        assert largest_error(state, expected) < 1e-5
        assert decoded == expected_tokens
    states, _ = run(rounded, "bfloat16")
    for state, expected in zip(states, rounded_references, strict=True):
        assert largest_error(state, expected) < 1e-2


@pytest.mark.slow
def test_a_prompt_that_is_computed_in_pieces_has_the_state_of_its_end(tmp_path: Path) -> None:
    pair = save_family_pair(tmp_path / "pair")
    states, tokens = run(pair, "float32", enable_chunked_prefill=True, max_num_batched_tokens=16)
    for prompt, state, decoded in zip(PROMPTS, states, tokens, strict=True):
        expected, expected_tokens = reference(pair / "gen", prompt, torch.float32)
        assert largest_error(state, expected) < 1e-5
        assert decoded == expected_tokens
