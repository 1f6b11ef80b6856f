"""An engine on the real vLLM, started and stopped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from semiparametric.pair import read_gen

if TYPE_CHECKING:
    from service.engines.vllm.engine import VllmEngine

SESSIONS = 16
WAITING = 96


@asynccontextmanager
async def running_vllm(
    pair: Path, *, context_length: int, adapter: Path | None = None, **options: Any
) -> AsyncIterator["VllmEngine"]:
    """`options` are vLLM's own; it does not compile the model, which would take longer than a test does."""
    from service.engines.vllm.engine import VllmEngine

    engine = VllmEngine(
        read_gen(pair),
        dtype="float32",
        max_sessions=SESSIONS,
        max_waiting=WAITING,
        context_length=context_length,
        adapter=None if adapter is None else str(adapter),
        options={"enforce_eager": True} | options,
    )
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()
