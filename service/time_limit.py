"""A request ends in time: what takes longer than it may is stopped, and its place is free."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from semiparametric.errors import DeadlineError
from service.decoding.events import Event


@asynccontextmanager
async def within(timeout_s: float) -> AsyncIterator[None]:
    """Cancel the block when its time is over.

    Raises:
        DeadlineError: It was.
    """
    try:
        async with asyncio.timeout(timeout_s) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():  # some other one, from inside
            raise
        raise _too_late(timeout_s) from error


async def events_within(timeout_s: float, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The events, for so many seconds from the first one asked for, the time that their reader takes included.

    Raises:
        DeadlineError: They had not ended by then. They are closed.
    """
    end = asyncio.get_running_loop().time() + timeout_s
    async with aclosing(events):
        while True:
            try:
                async with asyncio.timeout_at(end) as limit:
                    event = await anext(events)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise _too_late(timeout_s) from error
            yield event


def _too_late(timeout_s: float) -> DeadlineError:
    return DeadlineError(
        f"it took longer than {timeout_s:g} s", remedy="Ask for fewer tokens, or when less is going on"
    )
