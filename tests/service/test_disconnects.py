import asyncio

import pytest
from fastapi import Request
from starlette.types import Message

from service.disconnects import ClientGone, while_connected


class Client:
    """The client's end of a connection, which hangs up when it is told to."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.request = Request({"type": "http"}, self._receive)

    async def _receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Work:
    """Work without an end of its own."""

    def __init__(self) -> None:
        self.begun, self.cleaned_up = asyncio.Event(), False

    async def run(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)  # what is cleaned up may take its time
            self.cleaned_up = True


async def _three() -> int:
    await asyncio.sleep(0)
    return 3


async def _failing() -> int:
    raise LookupError("no such thing")


async def test_the_work_of_a_client_who_waits_is_done_and_nothing_is_left_waiting_for_its_end() -> None:
    client, before = Client(), asyncio.all_tasks()
    assert await while_connected(client.request, _three()) == 3
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_an_error_of_the_work_is_the_works_own() -> None:
    with pytest.raises(LookupError, match="no such thing"):
        await while_connected(Client().request, _failing())


async def test_a_client_who_hangs_up_ends_the_work() -> None:
    client, work = Client(), Work()
    waiting = asyncio.create_task(while_connected(client.request, work.run()))
    await work.begun.wait()
    client.gone.set()
    with pytest.raises(ClientGone):
        await waiting
    assert work.cleaned_up


async def test_after_a_client_has_hung_up_its_task_can_do_other_things() -> None:
    client, work = Client(), Work()
    client.gone.set()

    async def route() -> int:
        with pytest.raises(ClientGone):
            await while_connected(client.request, work.run())
        async with asyncio.timeout(60):
            return await _three()

    task = asyncio.create_task(route())
    assert await task == 3
    assert task.cancelling() == 0


@pytest.mark.parametrize("hangs_up", [False, True])
async def test_whoever_cancels_the_request_is_heard_whether_the_client_hangs_up_or_not(hangs_up: bool) -> None:
    client, work = Client(), Work()
    waiting = asyncio.create_task(while_connected(client.request, work.run()))
    await work.begun.wait()
    if hangs_up:
        client.gone.set()
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert work.cleaned_up


async def test_a_time_limit_around_the_work_holds() -> None:
    work = Work()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await while_connected(Client().request, work.run())
    assert work.cleaned_up
