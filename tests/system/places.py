"""The two places of the page's service: both taken, and both free again."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import httpx

from cosup.child_service import ChildService

LONG = {"question": "Why?", "retrieval": "never", "temperature": 2.0, "seed": 1, "max_new_tokens": 1024, "stream": True}


@contextmanager
def all_places_taken(service: ChildService) -> Iterator[None]:
    read = []  # an iterator of lines that nobody holds any more hangs up
    with ExitStack() as streams:
        for _ in range(2):
            reply = streams.enter_context(
                httpx.stream("POST", f"{service.url}/generate", json=LONG, timeout=60, trust_env=False)
            )
            read.append(reply.iter_lines())
            assert next(read[-1]) == "event: token"
        yield


def wait_for_places(service: ChildService) -> None:
    """Wait until both places are free: what the browser or a test left is ended by the service, not at once by us."""
    deadline = time.monotonic() + 60
    short = LONG | {"max_new_tokens": 1, "stream": False}
    with ThreadPoolExecutor(2) as pool:
        while True:
            both = pool.map(
                lambda _: httpx.post(f"{service.url}/generate", json=short, timeout=60, trust_env=False).status_code,
                range(2),
            )
            if set(both) == {200}:
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)
