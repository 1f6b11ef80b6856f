"""A client that hangs up stops the work done for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request

Result = TypeVar("Result")


class ClientGone(Exception):  # noqa: N818 - not an error of ours: nobody is left to be told
    """The client closed its connection before the answer was ready."""


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Await the work, unless the client hangs up first: then cancel it, let it clean up, and raise `ClientGone`.

    The request's body must have been read, so that the next message can only be the disconnect.
    """
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("this needs a task that can be cancelled")
    others, has_gone = task.cancelling(), False

    async def watch() -> None:
        nonlocal has_gone
        await _disconnect(request)
        has_gone = True
        task.cancel()

    watching = asyncio.create_task(watch())
    try:
        return await work  # in this task: an answer that is there shall not wait for a turn of the loop to be sent
    except asyncio.CancelledError:
        if has_gone and task.cancelling() == others + 1:  # and nobody else wants an end
            raise ClientGone from None
        raise
    finally:
        watching.cancel()
        if has_gone:
            task.uncancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
