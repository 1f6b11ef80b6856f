"""vLLM in `benchmarks.decoding`: our engine on it, with answers of a fixed shape, and plain generation."""

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from vllm import SamplingParams, TokensPrompt
from vllm.sampling_params import RequestOutputKind
from vllm.v1.sample.logits_processor import LogitsProcessor

from benchmarks.decoding_scene import CITED, PLAIN, Scene
from service.engines.vllm.engine import VllmEngine
from service.engines.vllm.protocol import FORBIDDEN, PROCESSOR
from service.engines.vllm.worker import Ids, follow

SHAPE = "benchmark_shape"  # in vLLM's additional_config: the ids of [Ret], [Cs], [Ce] and EOS


def make_engine(scene: Scene, *, max_sessions: int, eager: bool) -> VllmEngine:
    """Our engine on vLLM, whose answers have the shape of `decoding_scene.schedule`."""
    control = scene.gen.codec.control
    shape = [control.ret, control.cs, control.ce, scene.gen.codec.eos_id]
    return _ScheduledEngine(
        scene.folder,
        dtype="float32",
        max_sessions=max_sessions,
        max_waiting=0,
        context_length=scene.gen.model.config.max_position_embeddings - 1,
        options={"enforce_eager": eager, "additional_config": {SHAPE: shape}},
    )


class _ScheduledEngine(VllmEngine):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._arguments["logits_processors"] = [PROCESSOR, f"{__name__}:Scheduled"]


class Scheduled(LogitsProcessor):  # type: ignore[misc]  # vLLM is not there where types are checked
    """Forces `[Ret]`, `[Ce]` and EOS at their places in the requests of our sessions, and bans them elsewhere.

    It stands behind the engine's own processor, and leaves alone what that forces: `[Cs]` after `[Ret]`.
    """

    def __init__(self, vllm_config: Any, *_: Any) -> None:
        self._shape: list[int] = vllm_config.additional_config[SHAPE]
        self._requests: dict[int, tuple[list[int], Ids]] = {}  # what is forbidden, and the ids, by row

    def is_argmax_invariant(self) -> bool:
        """It is not."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """The batch has changed."""
        follow(self._requests, batch_update, _forbidden_and_ids)

    def apply(self, logits: Tensor) -> Tensor:
        """Force a token or ban all that are not free, in place."""
        ret, cs, ce, eos = self._shape
        for row, (forbidden, (prompt, new)) in self._requests.items():
            if row >= len(logits) or (new and new[-1] == ret):
                continue
            is_cited = prompt[-1] == cs
            is_last = not is_cited and ret in forbidden
            if len(new) == (CITED if is_cited else 0 if is_last else PLAIN):
                logits[row] = -torch.inf
                logits[row, ce if is_cited else eos if is_last else ret] = 0
            else:
                logits[row, self._shape] = -torch.inf
        return logits


def _forbidden_and_ids(params: SamplingParams, ids: Ids) -> tuple[list[int], Ids] | None:
    """Of our sessions' requests that decode; None of others."""
    forbidden = (params.extra_args or {}).get(FORBIDDEN)
    return None if forbidden is None else (forbidden, ids)


async def write_plainly(
    engine: VllmEngine, scene: Scene, questions: Sequence[str], lookups: int, num_tokens: int
) -> list[float]:
    """As many tokens as an answer has, from prompts that hold as many passages: vLLM alone, nothing looked up.

    Returns:
        Seconds to the first token, of each question.
    """
    passages = [token for row in range(lookups) for token in scene.gen.codec.passage(scene.store.passage(row))]
    params = SamplingParams(
        temperature=0, max_tokens=num_tokens, ignore_eos=True, detokenize=False, output_kind=RequestOutputKind.DELTA
    )

    async def one(question: str) -> float:
        asked, first_token_s = perf_counter(), 0.0
        prompt = TokensPrompt(prompt_token_ids=[*scene.gen.codec.prompt(question), *passages])
        async for _ in engine.llm().generate(prompt, params, engine.name()):
            first_token_s = first_token_s or perf_counter() - asked
        return first_token_s

    return await asyncio.gather(*[one(question) for question in questions])
