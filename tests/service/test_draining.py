"""How a service ends: not ready at once, refusing after its notice, over when nothing runs any more or time is up."""

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


async def asked(draining: Draining, path: str) -> dict[str, Any]:
    """Status and headers that a request gets; the app within says 200."""

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    scope: Scope = {"type": "http", "path": path, "state": {"request_id": "r"}}
    await DrainGate(app, draining=draining, retry_after_s=7)(scope, receive, send)
    headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return {"status": sent[0]["status"], **headers}


async def test_clients_are_told_to_leave_their_connections_as_soon_as_it_has_begun(draining: Draining) -> None:
    assert await asked(draining, "/generate") == {"status": 200}
    draining.begin()
    assert await asked(draining, "/generate") == {"status": 200, "connection": "close"}


async def test_new_questions_are_refused_and_probes_still_answered(draining: Draining, clock: Clock) -> None:
    draining.begin()
    clock.now += 5
    refused = await asked(draining, "/generate")
    assert (refused["status"], refused["retry-after"], refused["connection"]) == (503, "7", "close")
    for path in ("/health", "/ready", "/metrics"):
        assert await asked(draining, path) == {"status": 200, "connection": "close"}
