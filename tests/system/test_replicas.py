"""Two replicas over one index behind a balancer: each is restarted under load, and no request fails."""

import asyncio
from pathlib import Path

import httpx
import pytest

from benchmarks.service_index import RebuiltIndex
from benchmarks.service_load import Load, keep_asking
from benchmarks.service_process import until
from cosup.child_service import ChildService, started
from service.client import AsyncClient
from tests.service.lively import save_lively_pair
from tests.system.balancer import Balancer, balancing

pytestmark = [pytest.mark.system, pytest.mark.slow, pytest.mark.timeout(600)]  # it starts four services

CLIENTS = 4


class Replicas:
    """Services over the same pair and index, by name."""

    def __init__(self, folder: Path, pair: Path, index: Path) -> None:
        self._folder = folder
        options = {"pair": pair, "index": index, "port": 0, "threads": 1, "watch_s": 0.2, "notice_s": 3, "drain_s": 100}
        self._options = [
            word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))
        ]
        self._running: dict[str, ChildService] = {}
        self._starts = 0

    def start(self, name: str) -> str:
        """Start one; its address once it is ready."""
        self._starts += 1
        self._running[name] = started(self._options, self._folder / f"log-{self._starts}")
        return self._running[name].wait_until_ready()

    def stop(self, name: str) -> None:
        """End one with SIGTERM; it must end by itself and cleanly."""
        self._running.pop(name).stop()

    def kill(self) -> None:
        for service in self._running.values():
            service.kill()


async def test_a_rolling_restart_of_two_replicas_under_load_fails_no_request(tmp_path: Path) -> None:
    pair = save_lively_pair(tmp_path / "pair")
    index = RebuiltIndex(pair, tmp_path / "small")
    replicas = Replicas(tmp_path, pair, index.folder)
    load, stop = Load(CLIENTS), asyncio.Event()
    try:
        addresses = {name: replicas.start(name) for name in ("one", "two")}
        async with balancing(addresses) as (balancer, url), asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(ask_on_new_connections(url, number, load, stop))
            try:
                await roll(replicas, balancer, index, load)
            finally:
                stop.set()
    finally:
        replicas.kill()
    assert load.failures == []
    assert load.mixed == []
    assert load.versions == {1, 2, 3}


async def roll(replicas: Replicas, balancer: Balancer, index: RebuiltIndex, load: Load) -> None:
    """Publish a version, restart one replica, publish again, restart the other one."""
    await until_answered(load, 1)
    for name in ("one", "two"):
        await asyncio.to_thread(index.publish)
        for url in balancer.replicas.values():
            await until_served(url, index.version)
        await until_answered(load, index.version)
        answered = len(load.answers)
        await asyncio.to_thread(replicas.stop, name)
        assert balancer.ready == ["one" if name == "two" else "two"]
        balancer.replicas[name] = await asyncio.to_thread(replicas.start, name)
        assert len(load.answers) > answered
        await balancer.all_ready()


async def until_answered(load: Load, version: int) -> None:
    async def is_so() -> bool:
        return version in load.versions

    assert await until(is_so)


async def until_served(url: str, version: int) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as http:

        async def is_so() -> bool:
            return bool((await http.get("/indexes/small")).json()["version"] == version)

        assert await until(is_so)


async def ask_on_new_connections(url: str, number: int, load: Load, stop: asyncio.Event) -> None:
    """A connection for each answer: a balancer of connections cannot move one that is kept."""
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits, trust_env=False) as http:
        await keep_asking(AsyncClient(url, http=http), number, load, stop.is_set, pause_s=0.2)
