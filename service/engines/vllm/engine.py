"""The service's side of vLLM: every decode and every query state of a session is one request of its AsyncLLM.

A session keeps its ids here. What was computed for them stays in vLLM's prefix cache, so after a lookup only the
passage's tokens (and the rest of a cache block) are computed.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from itertools import count
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from vllm import AsyncEngineArgs, SamplingParams, TokensPrompt
from vllm.lora.request import LoRARequest
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from semiparametric.embedding import as_query
from semiparametric.errors import BusyError, CosupError, InputError
from semiparametric.pair import GenFolder
from service.decoding.engine import Sampling
from service.engines.admission import Places
from service.engines.sampling import seeded
from service.engines.vllm.protocol import EXTENSION, FORBIDDEN, LOOKUP, PREFIX, PROCESSOR, SAMPLING, STATE
from service.engines.vllm.states import States

logger = logging.getLogger(__name__)

# A small model on a CPU needs no more; vLLM's own choice is to fill the memory and to pin threads to cores.
_ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
_RUNNER = {"VLLM_USE_V2_MODEL_RUNNER": "0"}  # whose logits processors know the last id without asking the device


class VllmEngine:
    """Decodes all sessions in vLLM's batch.

    Args:
        gen: The pair's Gen; vLLM alone loads its weights.
        dtype: Number format of the weights.
        max_sessions: Sessions at once.
        max_waiting: Calls of `open` that may wait for a place; more are refused with BusyError.
        context_length: Ids of a session.
        adapter: A folder with a LoRA adapter of Gen, applied as it is.
        options: More arguments of vLLM's AsyncEngineArgs.
    """

    def __init__(
        self,
        gen: GenFolder,
        *,
        dtype: str,
        max_sessions: int,
        max_waiting: int,
        context_length: int,
        adapter: str | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.context_length = context_length
        self.spec, self.projection = gen.spec, gen.projection
        self.lora = None if adapter is None else LoRARequest("gen", 1, adapter)
        self._arguments = arguments(gen, dtype, max_sessions, context_length, self.lora, options or {})
        self._places = Places(max_sessions, max_waiting)
        self._numbers = count()
        self._llm: AsyncLLM | None = None
        self._revival: asyncio.Task[None] | None = None
        self.states = States(self._call)

    async def start(self) -> None:
        """Load the model in vLLM's own process.

        Raises:
            CosupError: vLLM does not start.
        """
        for name, value in (_ON_CPU | _RUNNER).items():
            os.environ.setdefault(name, value)
        try:
            self._llm = await asyncio.to_thread(AsyncLLM.from_engine_args, AsyncEngineArgs(**self._arguments))
        except Exception as error:  # of many kinds, since an argument can be wrong in as many ways
            reason = str(error).strip().splitlines() or [type(error).__name__]
            raise CosupError(
                f"vLLM does not start ({'; '.join(reason[:2])})",
                where="engine",
                remedy="Its own log above says more; mend the --vllm settings, or use the engine transformers",
            ) from error

    async def stop(self) -> None:
        """End vLLM's process; sessions still open fail."""
        if self._revival is not None:
            self._revival.cancel()
            await asyncio.wait([self._revival])
        self._end()

    async def open(self, ids: Sequence[int], sampling: Sampling) -> "_Session":
        """Open a session on at least one id; waits for a free place.

        Raises:
            BusyError: All places are taken and too many wait, or vLLM starts again after it died.
            InputError: The ids do not fit the context.
        """
        if not 0 < len(ids) <= self.context_length:
            raise InputError(f"{len(ids)} ids do not fit a context of {self.context_length}")
        if self._revival is not None:
            raise BusyError("the decoding engine died and is being started again", remedy="Try again in a minute")
        self.llm()
        await self._places.take()
        return _Session(self, list(ids), seeded(sampling))

    def leave(self) -> None:
        """A session has been closed."""
        self._places.give_back()

    def llm(self) -> AsyncLLM:
        """The running vLLM.

        Raises:
            CosupError: It is not running.
        """
        if self._llm is None:
            raise CosupError("the engine is not running", remedy="Start it first")
        return self._llm

    def name(self) -> str:
        """A name that no other request has, in this process or in one that shares vLLM's."""
        return f"{os.getpid()}-{next(self._numbers)}"

    def died(self) -> CosupError:
        """VLLM's process is gone: start another one, and have an error for those who were in it."""
        if self._revival is None and self._llm is not None:
            logger.error("vLLM died; it is started again")
            self._revival = asyncio.create_task(self._revive())
        return BusyError("the decoding engine died", remedy="Ask again in a minute, when it has started again")

    async def _revive(self) -> None:
        try:
            self._end()
            await self.start()
        except Exception:
            logger.exception("vLLM could not be started again")
        finally:
            self._revival = None

    def _end(self) -> None:
        llm, self._llm = self._llm, None
        if llm is not None:
            llm.shutdown()  # on the loop, where its own task of reading outputs runs

    async def _call(self, method: str, *arguments: Any) -> list[Any]:
        try:
            return cast("list[Any]", await self.llm().collective_rpc(method, args=arguments))
        except EngineDeadError as error:
            raise self.died() from error


def arguments(
    gen: GenFolder,
    dtype: str,
    max_sessions: int,
    context_length: int,
    lora: LoRARequest | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """AsyncEngineArgs: what makes query states readable is fixed, all else can be set by `options`.

    Raises:
        InputError: An option is one of the fixed ones, or vLLM has none of this name.
    """
    fixed: dict[str, Any] = {
        "model": str(gen.folder),
        "skip_tokenizer_init": True,
        "hf_overrides": {"architectures": [PREFIX + gen.architecture]},
        "logits_processors": [PROCESSOR],
        "worker_extension_cls": EXTENSION,
        "max_model_len": context_length + 1,  # a state comes with the choice of one more token
        "generation_config": "vllm",  # requests say all themselves; the folder's defaults must not add to that
        "enable_prefix_caching": True,
    }
    defaults: dict[str, Any] = {
        "dtype": dtype,
        "block_size": 32,  # a cache hit is a whole block; vLLM's 128 on a CPU would miss most prompts
        "max_num_seqs": max_sessions,
        "enable_log_requests": False,
    }
    if lora is not None:
        defaults |= {"enable_lora": True, "max_lora_rank": 64}
    known = AsyncEngineArgs.__dataclass_fields__
    for name in options:
        if name in fixed:
            raise InputError("it is set by this engine", where=f"vllm option {name}", remedy="Leave it out")
        if name not in known:
            raise InputError("vLLM has no such argument", where=f"vllm option {name}", remedy="See `vllm serve --help`")
    if int(options.get("data_parallel_size", 1)) > 1:
        raise InputError(
            "vLLM hands states of its first replica alone out",
            where="vllm option data_parallel_size",
            remedy="Run one service for each replica behind a load balancer; the service keeps no state",
        )
    return defaults | fixed | dict(options)


class _Session:
    """One sequence: its ids, and the request that vLLM has of it at the time."""

    def __init__(self, engine: VllmEngine, ids: list[int], sampling: Sampling) -> None:
        self._engine = engine
        self._ids = ids
        self._sampling = sampling
        self._forwarded = 0
        self._request: str | None = None  # that vLLM has, or that was left before its end
        self._state: str | None = None  # the name of the state at the last position, where it is computed already
        self._closed = False

    @property
    def forwarded_tokens(self) -> int:
        """Tokens the model computed for this session so far."""
        return self._forwarded

    async def decode(
        self, *, forbidden: frozenset[int], stop_ids: frozenset[int], max_tokens: int
    ) -> AsyncGenerator[int, None]:
        """Yield every new token, the stop id included, then end."""
        room = self._engine.context_length - len(self._ids)
        if not 0 < max_tokens <= room:
            raise InputError(f"{max_tokens} new tokens are asked for where {room} fit")
        control = self._engine.spec.control
        looks_up = control.ret in stop_ids
        name = self._engine.name()
        extra: dict[str, Any] = {FORBIDDEN: sorted(forbidden)} | self._said_sampling()
        if looks_up:  # the step after [Ret] computes its state; see GenProcessor
            extra |= {STATE: name, LOOKUP: [control.ret, control.cs]}
            stop_ids = stop_ids - {control.ret} | {control.cs}
        params = SamplingParams(
            temperature=0,  # a request that samples is chosen for by the processor
            max_tokens=max_tokens + looks_up,
            stop_token_ids=sorted(stop_ids),
            ignore_eos=True,  # the stop ids hold it
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            extra_args=extra,
        )
        decoded = 0
        async with aclosing(self._run(params, name)) as tokens:
            async for token in tokens:
                if looks_up and token == control.cs:
                    self._state = name
                    continue
                self._ids.append(token)
                decoded += 1
                yield token
                if decoded == max_tokens and token != control.ret:
                    break
        self._request = None

    async def query_state(self) -> NDArray[np.float32]:
        """Gen's last hidden state after the final norm at the last position, projected, as a query: float32[d]."""
        self._check_open()
        name = self._state or await self._computed_state()
        self._state = None
        state = torch.frombuffer(bytearray(await self._engine.states.fetch(name)), dtype=torch.float32)
        return as_query(state, self._engine.spec, self._engine.projection)

    async def _computed_state(self) -> str:
        """Have the state at the last position computed; the name under which it is kept."""
        name = self._engine.name()
        params = SamplingParams(
            temperature=0,
            max_tokens=1,
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
            extra_args={STATE: name},
        )
        async with aclosing(self._run(params, name)) as tokens:
            async for _ in tokens:
                pass
        self._request = None
        return name

    async def append(self, ids: Sequence[int]) -> None:
        """Put ids at the end of the context; they are computed with the next `decode` or `query_state`."""
        self._check_open()
        if len(self._ids) + len(ids) > self._engine.context_length:
            raise InputError(f"{len(ids)} ids after {len(self._ids)} exceed {self._engine.context_length}")
        self._ids += ids
        self._state = None

    async def truncate(self, length: int) -> None:
        """Keep only the first `length` ids (at least one) of the context."""
        self._check_open()
        if not 0 < length <= len(self._ids):
            raise InputError(f"a context of {len(self._ids)} ids cannot be cut to {length}")
        del self._ids[length:]
        self._state = None

    async def close(self) -> None:
        """Free the session's place, also in the middle of `decode`."""
        if self._closed:
            return
        self._closed = True
        self._engine.leave()
        if self._request is not None:
            await self._engine.llm().abort(self._request)

    def _check_open(self) -> None:
        if self._closed:
            raise CosupError("the session is closed")

    def _said_sampling(self) -> dict[str, Any]:
        sampling = self._sampling
        return {SAMPLING: [sampling.temperature, sampling.top_p, sampling.seed]} if sampling.temperature > 0 else {}

    async def _run(self, params: SamplingParams, name: str) -> AsyncGenerator[int, None]:
        """The tokens of one request on the ids so far; leaving it early aborts the request."""
        self._check_open()
        if self._request is not None:
            raise CosupError("a decode of this session was left before its end", remedy="Close the session")
        self._request = name
        prompt = TokensPrompt(prompt_token_ids=list(self._ids))
        outputs = self._engine.llm().generate(prompt, params, name, lora_request=self._engine.lora)
        computed_prompt = False
        try:
            async with aclosing(outputs):
                async for output in outputs:
                    if not computed_prompt:
                        computed_prompt = True
                        self._forwarded += len(prompt["prompt_token_ids"]) - (output.num_cached_tokens or 0)
                    tokens = output.outputs[0].token_ids
                    self._forwarded += len(tokens) - (1 if output.finished else 0)  # the last one is never computed
                    for token in tokens:
                        yield token
                    if output.finished and output.outputs[0].finish_reason == "abort":
                        raise CosupError("the session is closed" if self._closed else "decoding was aborted")
        except EngineDeadError as error:
            raise self._engine.died() from error
