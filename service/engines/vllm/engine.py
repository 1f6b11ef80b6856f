"""The service's side of vLLM: its AsyncLLM with what makes query states readable, and the sessions' places in it."""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, cast

from vllm import AsyncEngineArgs
from vllm.lora.request import LoRARequest
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError

from semiparametric.errors import BusyError, CosupError, InputError
from semiparametric.pair import GenFolder
from service.decoding.engine import Load, Sampling
from service.engines.admission import Places
from service.engines.sampling import seeded
from service.engines.vllm.protocol import EXTENSION, PREFIX, PROCESSOR
from service.engines.vllm.session import VllmSession
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

    Attributes:
        holds_all: Whether a session keeps its place in vLLM's memory while it waits for a lookup. Only where there is
            room for all of them: vLLM throws requests out that run, never those that wait for more ids, and sessions
            short of memory would wait for one another for ever. Elsewhere the prefix cache is all that joins turns.
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
        self._max_sessions = max_sessions
        self._text_config = gen.config.get_text_config(decoder=True)
        self._llm: AsyncLLM | None = None
        self._revival: asyncio.Task[None] | None = None
        self.holds_all = False
        self.states = States(self._call)

    @property
    def load(self) -> Load:
        """Sessions that run and wait."""
        return self._places.load

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
        self.holds_all = self._has_room_for_all(self._llm)
        if not self.holds_all:
            logger.info(
                "vLLM has no room for %d sessions of %d ids: each lookup computes up to a cache block more",
                *(self._max_sessions, self.context_length),
            )

    async def stop(self) -> None:
        """End vLLM's process; sessions still open fail."""
        if self._revival is not None:
            self._revival.cancel()
            await asyncio.wait([self._revival])
        self._end()

    async def open(self, ids: Sequence[int], sampling: Sampling) -> VllmSession:
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
        return VllmSession(self, list(ids), seeded(sampling))

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

    def _has_room_for_all(self, llm: AsyncLLM) -> bool:
        """Whether vLLM has memory for all sessions at their longest."""
        cache = llm.vllm_config.cache_config
        kinds = set(getattr(self._text_config, "layer_types", None) or ())
        copies = (
            1 if len(kinds) < 2 else self._text_config.num_hidden_layers
        )  # at most: blocks belong to a kind of layers
        blocks = copies * -(-(self.context_length + 1) // cache.block_size)
        return bool(self._max_sessions * blocks < (cache.num_gpu_blocks or 0))  # one block is vLLM's own

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
