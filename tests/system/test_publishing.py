"""Versions published while clients stream: no request fails, no answer mixes two versions, and old files are let go."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.service_index import RebuiltIndex
from benchmarks.service_load import Load, keep_asking, left_open
from benchmarks.service_process import files_in_use
from cosup.child_service import child_service
from semiparametric.store import collect_garbage, roll_back
from semiparametric.store.layout import version_folder
from service.client import AsyncClient
from tests.service.lively import save_lively_pair

pytestmark = pytest.mark.system

CLIENTS = 8


def served(client: httpx.Client) -> dict[str, Any]:
    details: dict[str, Any] = client.get("/indexes/small").raise_for_status().json()
    return details


def wait_until_answered(load: Load, version: int) -> None:
    """Wait for the next answer from a version."""
    begun, deadline = len(load.answers), time.monotonic() + 60
    while all(answer.version != version for answer in load.answers[begun:]):
        assert time.monotonic() < deadline
        time.sleep(0.02)


async def test_clients_stream_while_versions_of_all_kinds_come_and_go(tmp_path: Path) -> None:
    pair = save_lively_pair(tmp_path / "pair")
    index = RebuiltIndex(pair, tmp_path / "small")
    options = ["--pair", str(pair), "--index", str(index.folder), "--port", "0", "--threads", "1", "--watch-s", "0.1"]
    load, stop = Load(CLIENTS), asyncio.Event()
    with child_service(options, tmp_path / "log") as service:
        url = service.wait_until_ready()
        async with AsyncClient(url) as client, asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(keep_asking(client, number, load, stop.is_set))
            try:
                await asyncio.to_thread(publish_all_kinds, index, url, load)
            finally:
                stop.set()
        assert await left_open(service, index) == set()
        assert files_in_use(service.pid, version_folder(index.folder, 6))
    assert load.failures == []
    assert load.mixed == []
    assert '"status": 5' not in (tmp_path / "log").read_text()


def publish_all_kinds(index: RebuiltIndex, url: str, load: Load) -> None:
    """New versions, one of them damaged, a rollback, and the removal of what is served no more."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        wait_until_answered(load, 1)
        for version in (2, 3, 4):
            assert index.publish() == version
            wait_until_answered(load, version)
        publish_damaged(index)
        assert client.post("/indexes/small/reload").status_code == 409
        assert (served(client)["version"], served(client)["refused"]) == (4, 5)
        roll_back(index.folder, 2)
        assert client.post("/indexes/small/reload").json()["version"] == 2
        wait_until_answered(load, 2)
        assert collect_garbage(index.folder, keep=1) == [1, 3, 4]
        assert index.publish() == 6
        collect_garbage(index.folder, keep=1)
        wait_until_answered(load, 6)


def publish_damaged(index: RebuiltIndex) -> None:
    index.publish()
    (version_folder(index.folder, index.version) / "index.faiss").write_bytes(b"no index")
