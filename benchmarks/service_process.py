"""A service's process seen from outside: its memory, files and threads, and what its metrics say."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

PATIENCE_S = 60.0  # for what ends within milliseconds where nothing is wrong
_POLL_S = 0.05

POOL_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""asyncio's own pool makes up to so many threads as it comes to need them, and keeps them: that is no leak."""


@dataclass(frozen=True)
class Footprint:
    """What a process holds.

    rss_mb: resident memory, the mapped pages of files included.
    open_files: file descriptors, sockets included.
    """

    rss_mb: float
    open_files: int
    threads: int


def footprint(pid: int) -> Footprint:
    """What a process holds now."""
    process = psutil.Process(pid)
    with process.oneshot():
        return Footprint(process.memory_info().rss / 2**20, process.num_fds(), process.num_threads())


def files_in_use(pid: int, folder: Path) -> set[str]:
    """The files below a folder that a process has open or mapped."""
    process = psutil.Process(pid)
    paths = {file.path for file in process.open_files()} | {region.path for region in process.memory_maps()}
    return {path for path in paths if path.startswith(f"{folder}/")}


def raw_post(url: str, path: str, body: Mapping[str, object]) -> bytes:
    """A POST as it goes over a connection, for clients that must not tidy up as one of HTTP would."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {httpx.URL(url).netloc.decode()}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


async def counted(http: httpx.AsyncClient, sample: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels; 0 where there is none yet."""
    text = (await http.get("/metrics")).raise_for_status().text
    samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return sum(one.value for one in samples if one.name == sample and labels.items() <= one.labels.items())


async def sessions(http: httpx.AsyncClient) -> float:
    """Answers in the engine and requests that wait for a place there."""
    running = await counted(http, "cosup:num_sessions_running")
    return running + await counted(http, "cosup:num_requests_waiting")


async def until(is_so: Callable[[], Awaitable[bool]]) -> bool:
    """Wait until something is so; false where patience ended first."""
    deadline = time.monotonic() + PATIENCE_S
    while not (found := await is_so()) and time.monotonic() < deadline:  # noqa: ASYNC110 - what is so in another process
        await asyncio.sleep(_POLL_S)
    return found
