"""How much each key may ask for: requests in a minute, and requests at a time. Counted in this process alone."""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic_ns

from service.keys.key import Key

_SECOND = 10**9  # in nanoseconds: whole numbers, so that who waits as told is let in to the last digit
_MINUTE = 60 * _SECOND


class LimitReachedError(Exception):
    """A key asks for more than it may.

    Attributes:
        retry_after_s: Whole seconds after which another try makes sense.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass
class _Use:
    """What a key uses: when its requests of the last minute began, and how many are in flight."""

    begun: deque[int] = field(default_factory=deque)
    in_flight: int = 0


class KeyLimits:
    """The limits of all keys. Runs on the event loop, so it needs no lock.

    Args:
        retry_after_s: What a client with too many requests in flight is told to wait.
        clock: Nanoseconds that only grow.
    """

    def __init__(self, *, retry_after_s: int, clock: Callable[[], int] = monotonic_ns) -> None:
        self._retry_after_s = retry_after_s
        self._clock = clock
        self._uses: defaultdict[str, _Use] = defaultdict(_Use)

    @contextmanager
    def admitted(self, key: Key) -> Iterator[None]:
        """Count a request until the block ends.

        Raises:
            LimitReachedError: It is one too many. It is not counted.
        """
        use = self._uses[key.sha256]
        if key.concurrent_requests is not None and use.in_flight >= key.concurrent_requests:
            raise LimitReachedError(
                f"this key has {use.in_flight} requests in flight, which is all it may have", self._retry_after_s
            )
        if key.requests_per_minute is not None:
            self._begin(use, key.requests_per_minute)
        use.in_flight += 1
        try:
            yield
        finally:
            use.in_flight -= 1

    def _begin(self, use: _Use, requests_per_minute: int) -> None:
        now = self._clock()
        while use.begun and now - use.begun[0] >= _MINUTE:
            use.begun.popleft()
        if len(use.begun) >= requests_per_minute:
            free_again = use.begun[-requests_per_minute] + _MINUTE  # there may be more, where the limit was lowered
            message = f"this key may begin {requests_per_minute} requests in a minute, and has"
            raise LimitReachedError(message, math.ceil((free_again - now) / _SECOND))
        use.begun.append(now)
