"""How a service ends: not ready at once, refusing after its notice, over when nothing runs any more or time is up."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from service.draining import DrainGate, Draining


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def draining(clock: Clock) -> Draining:
    return Draining(notice_s=5, drain_s=30, clock=clock)


def test_before_it_begins_nothing_is_refused_whatever_the_time(draining: Draining, clock: Clock) -> None:
    clock.now += 1000
    assert not draining.has_begun
    assert not draining.refuses
    assert not draining.is_over


def test_notice_is_given_before_questions_are_refused(draining: Draining, clock: Clock) -> None:
    draining.begin()
    assert draining.has_begun
    clock.now += 4.9
    assert not draining.refuses
    clock.now += 0.1
    assert draining.refuses
    assert draining.is_over


def test_a_request_in_flight_holds_the_end_up_until_it_has_ended(draining: Draining, clock: Clock) -> None:
    with draining.in_flight():
        draining.begin()
        clock.now += 5
        assert draining.refuses
        assert not draining.is_over
    assert draining.is_over
    assert draining.seconds_left == 30


def test_a_request_in_flight_holds_the_end_up_no_longer_than_it_may(draining: Draining, clock: Clock) -> None:
    with draining.in_flight():
        draining.begin()
        clock.now += 34.9
        assert not draining.is_over
        clock.now += 0.1
        assert draining.is_over


def test_beginning_again_does_not_begin_anew(draining: Draining, clock: Clock) -> None:
    draining.begin()
    clock.now += 5
    draining.begin()
    assert draining.refuses


def test_without_notice_questions_are_refused_at_once(clock: Clock) -> None:
    draining = Draining(notice_s=0, drain_s=30, clock=clock)
    draining.begin()
    assert draining.refuses


class Body:
    """What a client sends: some pieces, and then nothing more."""

    def __init__(self, pieces: int = 1, *, ends: bool = True) -> None:
        self.to_come = pieces
        self.ends = ends

    async def receive(self) -> Message:
        if not self.to_come:
            await asyncio.Event().wait()
        self.to_come -= 1
        return {"type": "http.request", "body": b"x", "more_body": self.to_come > 0 or not self.ends}


async def asked(draining: Draining, path: str, body: Body | None = None, body_s: float = 60) -> dict[str, Any]:
    """Status and headers that a request gets, and what of its body was still to come; the app within says 200."""
    body = body or Body()
    to_come = 0

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        nonlocal to_come
        to_come = to_come if sent else body.to_come
        sent.append(message)

    scope: Scope = {"type": "http", "path": path, "state": {"request_id": "r"}}
    await DrainGate(app, draining=draining, retry_after_s=7, body_s=body_s)(scope, body.receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return {"status": sent[0]["status"], "to come": to_come, **headers}


async def test_clients_are_told_to_leave_their_connections_as_soon_as_it_has_begun(draining: Draining) -> None:
    assert await asked(draining, "/generate") == {"status": 200, "to come": 1}
    draining.begin()
    assert await asked(draining, "/generate") == {"status": 200, "to come": 0, "connection": "close"}


async def test_new_questions_are_refused_and_probes_still_answered(draining: Draining, clock: Clock) -> None:
    draining.begin()
    clock.now += 5
    refused = await asked(draining, "/generate")
    assert (refused["status"], refused["retry-after"], refused["connection"]) == (503, "7", "close")
    for path in ("/health", "/ready", "/metrics"):
        assert await asked(draining, path) == {"status": 200, "to come": 0, "connection": "close"}


async def test_a_question_is_read_to_its_end_before_it_is_refused(draining: Draining, clock: Clock) -> None:
    """Else the connection is closed upon a client that still sends, which sees a reset in place of the answer."""
    draining.begin()
    clock.now += 5
    refused = await asked(draining, "/generate", Body(3))
    assert (refused["status"], refused["to come"]) == (503, 0)


@pytest.mark.bad_input
async def test_a_client_that_never_ends_its_question_is_refused_all_the_same(draining: Draining, clock: Clock) -> None:
    draining.begin()
    clock.now += 5
    assert (await asked(draining, "/generate", Body(ends=False), body_s=0.05))["status"] == 503
