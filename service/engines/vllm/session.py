"""A session on vLLM: one request that goes on turn by turn, fed through vLLM's streaming input.

A turn is one stretch of decoding, or one query state. Between turns vLLM keeps all that it has computed, so after a
lookup it computes the passage's tokens and no other.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from vllm import RequestOutput, SamplingParams, TokensPrompt
from vllm.engine.protocol import StreamingInput
from vllm.sampling_params import RequestOutputKind
from vllm.v1.engine.exceptions import EngineDeadError

from semiparametric.embedding import as_query
from semiparametric.errors import CosupError, InputError
from service.decoding.engine import Sampling
from service.engines.vllm.protocol import FORBIDDEN, LOOKUP, SAMPLING, STATE

if TYPE_CHECKING:
    from service.engines.vllm.engine import VllmEngine


class VllmSession:
    """One sequence: its ids, and the request that vLLM has of them."""

    def __init__(self, engine: "VllmEngine", ids: list[int], sampling: Sampling) -> None:
        self._engine = engine
        self._ids = ids
        self._sampling = sampling
        self._forwarded = 0
        self._request: _Request | None = None
        self._state: str | None = None  # the name of the state at the last position, where it is computed already
        self._closed = False
        self.given_at = 0.0

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
        decoded = 0
        async with aclosing(self._turn(_params(extra, max_tokens + looks_up, stop_ids))) as tokens:
            async for token in tokens:
                if looks_up and token == control.cs:
                    self._state = name
                    continue
                self._ids.append(token)
                decoded += 1
                yield token
                if looks_up and decoded == max_tokens and token != control.ret:
                    break  # the one token more was for the step after [Ret]

    async def query_state(self) -> NDArray[np.float32]:
        """Gen's last hidden state after the final norm at the last position, projected, as a query: float32[d]."""
        self._check_open()
        name = self._state or await self._computed_state()
        self._state = None
        state = torch.frombuffer(bytearray(await self._engine.states.fetch(name)), dtype=torch.float32)
        self.given_at = perf_counter()
        return as_query(state, self._engine.spec, self._engine.projection)

    async def _computed_state(self) -> str:
        """Have the state at the last position computed; the name under which it is kept."""
        name = self._engine.name()
        async with aclosing(self._turn(_params({STATE: name}, 1, frozenset()))) as tokens:
            async for _ in tokens:
                pass
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
        if self._request is not None and length < self._request.held:
            await self._leave_request()
        del self._ids[length:]
        self._state = None

    async def close(self) -> None:
        """Free the session's place, also in the middle of `decode`."""
        if self._closed:
            return
        self._closed = True
        self._engine.leave()
        await self._leave_request()

    def _check_open(self) -> None:
        if self._closed:
            raise CosupError("the session is closed")

    def _said_sampling(self) -> dict[str, Any]:
        sampling = self._sampling
        return {SAMPLING: [sampling.temperature, sampling.top_p, sampling.seed]} if sampling.temperature > 0 else {}

    async def _turn(self, params: SamplingParams) -> AsyncGenerator[int, None]:
        """The tokens of one turn on the ids so far; leaving it early ends the request."""
        self._check_open()
        if self._request is not None and self._request.held == len(self._ids):
            await self._leave_request()  # a turn computes one id at least: the last one once more, in a new request
        if self._request is None:
            self._request = _Request(self._engine)
        request, ended = self._request, False
        if request.in_turn:
            raise CosupError("a decode of this session was left before its end", remedy="Close the session")
        try:
            async for output in request.turn(self._ids, params):
                self._forwarded += output.computed
                self.given_at = perf_counter()  # vLLM does not say when it had them
                for token in output.tokens:
                    yield token
            ended = True
        except EngineDeadError as error:
            raise self._engine.died() from error
        finally:
            if not ended or not self._engine.holds_all:
                await self._leave_request()

    async def _leave_request(self) -> None:
        request, self._request = self._request, None
        if request is not None:
            await request.end()


def _params(extra: dict[str, Any], max_tokens: int, stop_ids: frozenset[int]) -> SamplingParams:
    return SamplingParams(
        temperature=0,  # a request that samples is chosen for by the processor
        max_tokens=max_tokens,
        stop_token_ids=sorted(stop_ids),
        ignore_eos=True,  # the stop ids hold it
        detokenize=False,
        output_kind=RequestOutputKind.DELTA,
        extra_args=extra,
    )


class _Step(NamedTuple):
    """What vLLM gave at a time: new tokens, and how many ids it computed for them."""

    tokens: Sequence[int]
    computed: int


class _Request:
    """A request of vLLM that takes more ids after each turn.

    Attributes:
        held: How many of the session's ids vLLM has computed and keeps.
        in_turn: A turn has begun and not ended.
    """

    def __init__(self, engine: "VllmEngine") -> None:
        self.held = 0
        self.in_turn = False
        self._engine = engine
        self._name = engine.name()
        self._inputs: asyncio.Queue[StreamingInput] = asyncio.Queue()
        self._outputs: AsyncGenerator[RequestOutput, None] | None = None
        self._is_read = False
        self._ended = False

    async def turn(self, ids: Sequence[int], params: SamplingParams) -> AsyncGenerator[_Step, None]:
        """Compute those of a session's ids that are not held yet, and decode. The last token is never computed.

        Raises:
            CosupError: The request was ended meanwhile.
            EngineDeadError: vLLM's process died.
        """
        self.in_turn = True
        num_new, num_known = len(ids) - self.held, len(ids)
        self._inputs.put_nowait(StreamingInput(TokensPrompt(prompt_token_ids=list(ids[self.held :])), params))
        if self._outputs is None:
            self._outputs = self._engine.llm().generate(
                self._stream(), params, self._name, lora_request=self._engine.lora
            )
        while self.in_turn:
            output = await self._next_output(self._outputs)
            (completion,) = output.outputs
            if self.held == 0 and num_new > 0:  # only what begins a request can be in the prefix cache
                num_new -= output.num_cached_tokens or 0
            tokens, has_ended = completion.token_ids, completion.finish_reason is not None
            num_known += len(tokens)
            yield _Step(tokens, num_new + len(tokens) - has_ended)
            num_new = 0
            if completion.finish_reason == "abort":
                raise CosupError("the session is closed" if self._ended else "decoding was aborted")
            self.in_turn = not has_ended
        self.held = num_known - 1

    async def end(self) -> None:
        """Have vLLM forget the request; what its cache keeps of it can be found again by the same ids."""
        self._ended = True
        if self._outputs is not None and self._is_read:
            await self._engine.llm().abort(self._name)  # whoever reads the outputs is told
        elif self._outputs is not None:
            await self._outputs.aclose()

    async def _next_output(self, outputs: AsyncGenerator[RequestOutput, None]) -> RequestOutput:
        self._is_read = True
        try:
            return await anext(outputs)
        except StopAsyncIteration:
            raise CosupError("the session is closed") from None
        finally:
            self._is_read = False

    async def _stream(self) -> AsyncGenerator[StreamingInput, None]:
        while True:
            yield await self._inputs.get()
