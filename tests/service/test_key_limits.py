"""Requests in a minute and at a time, by a clock that the tests turn."""

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.keys.key import Key
from service.keys.limits import KeyLimits, LimitReachedError


def key_of(*, minute: int | None = None, at_a_time: int | None = None, sha256: str = "0" * 64) -> Key:
    return Key(
        name="alice",
        sha256=sha256,
        indexes=["*"],
        admin=False,
        requests_per_minute=minute,
        concurrent_requests=at_a_time,
        created=datetime.now(UTC),
    )


class Clock:
    """Begins at 1,000 s; tests add seconds to `now`."""

    def __init__(self) -> None:
        self.now = Fraction(1000)

    def __call__(self) -> int:
        return int(self.now * 10**9)


def tried(limits: KeyLimits, key: Key) -> int | None:
    """None where a request is let in, else the seconds it is told to wait."""
    try:
        with limits.admitted(key):
            return None
    except LimitReachedError as error:
        return error.retry_after_s


def test_a_key_without_limits_is_always_let_in() -> None:
    limits = KeyLimits(retry_after_s=2)
    with ExitStack() as held:
        for _ in range(1000):
            held.enter_context(limits.admitted(key_of()))


def test_a_key_is_told_when_its_oldest_request_is_a_minute_old() -> None:
    clock = Clock()
    limits, key = KeyLimits(retry_after_s=2, clock=clock), key_of(minute=2)
    assert tried(limits, key) is None
    clock.now += Fraction(21, 2)
    assert tried(limits, key) is None
    clock.now += 1
    assert tried(limits, key) == 49  # 48.5 s are left
    clock.now += Fraction(97, 2)
    assert tried(limits, key) is None
    assert tried(limits, key) == 11


def test_a_refused_request_does_not_count() -> None:
    clock = Clock()
    limits, key = KeyLimits(retry_after_s=2, clock=clock), key_of(minute=1)
    assert tried(limits, key) is None
    for _ in range(50):
        clock.now += 1
        assert tried(limits, key) == 1000 + 60 - clock.now
    clock.now += 10
    assert tried(limits, key) is None


@given(limit=st.integers(1, 5), pauses=st.lists(st.integers(0, 40 * 10**9), max_size=60))
@example(limit=1, pauses=[237_000_000, 0])
def test_in_no_minute_more_than_the_limit_begin_and_who_waits_as_told_is_let_in(
    limit: int, pauses: Sequence[int]
) -> None:
    clock, begun = Clock(), list[Fraction]()
    limits, key = KeyLimits(retry_after_s=2, clock=clock), key_of(minute=limit)
    for pause in pauses:
        clock.now += Fraction(pause, 10**9)
        wait = tried(limits, key)
        if wait is not None:
            assert 1 <= wait <= 60
            clock.now += wait
            assert tried(limits, key) is None
        begun.append(clock.now)
    assert all(later - earlier >= 60 for earlier, later in zip(begun, begun[limit:], strict=False))


def test_so_many_requests_at_a_time_and_the_next_when_one_has_ended() -> None:
    limits, key = KeyLimits(retry_after_s=7), key_of(at_a_time=2)
    with limits.admitted(key):
        with limits.admitted(key):
            assert tried(limits, key) == 7
        assert tried(limits, key) is None


def test_a_request_that_fails_has_ended_too() -> None:
    limits, key = KeyLimits(retry_after_s=7), key_of(at_a_time=1)
    with pytest.raises(ZeroDivisionError), limits.admitted(key):
        raise ZeroDivisionError
    assert tried(limits, key) is None


def test_keys_have_limits_of_their_own() -> None:
    limits = KeyLimits(retry_after_s=7)
    with limits.admitted(key_of(at_a_time=1, minute=1)):
        assert tried(limits, key_of(at_a_time=1, minute=1)) == 7
        assert tried(limits, key_of(at_a_time=1, minute=1, sha256="1" * 64)) is None


def test_a_limit_that_was_lowered_holds_for_what_has_begun_already() -> None:
    clock = Clock()
    limits = KeyLimits(retry_after_s=7, clock=clock)
    for _ in range(3):
        assert tried(limits, key_of(minute=3)) is None
        clock.now += 10
    assert tried(limits, key_of(minute=1)) == 50
