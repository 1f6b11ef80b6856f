"""Versions published while clients stream: no request fails, no answer mixes two versions, and old files are let go."""

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cosup.child_service import ChildService, child_service
from semiparametric.formats import Passage
from semiparametric.store import collect_garbage, roll_back
from semiparametric.store.layout import version_folder
from tests.service.lively import save_lively_pair
from tests.small_index import build_small_index

pytestmark = pytest.mark.system

CLIENTS = 16
WORDS = ("lamp", "tide", "wheel", "keeper", "log", "dusk")


@dataclass
class Streamed:
    """What one stream told: the version in `done` and the versions that its passages and citations name."""

    version: int
    told: set[int]
    lookups: int


def publish(pair: Path, folder: Path, version: int) -> None:
    passages = [Passage(id=f"{word}@{version}", title=word, text=f"The {word}.") for word in WORDS]
    build_small_index(pair, folder, passages=passages)


def stream(client: httpx.Client, question: str) -> Streamed:
    body = {"question": question, "retrieval": "first", "max_new_tokens": 40, "top_k": 3, "stream": True}
    with client.stream("POST", "/generate", json=body) as reply:
        assert reply.status_code == 200
        lines = [line.partition(": ") for line in reply.iter_lines() if line]
    events = list(zip(lines[::2], lines[1::2], strict=True))
    data = [(name[2], json.loads(value[2])) for name, value in events]
    last, done = data[-1]
    assert last == "done", done
    ids = [passage["id"] for _, one in data for passage in one.get("passages", [])]
    ids += [citation["passage_id"] for name, citation in data if name == "citation"]
    return Streamed(done["index"]["version"], {int(one.split("@")[1]) for one in ids}, done["usage"]["retrievals"])


def ask_until(stop: threading.Event, url: str, number: int, answers: list[Streamed]) -> None:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for turn in itertools.count():
            if stop.is_set():
                return
            answers.append(stream(client, f"Q {number} {turn}"))


def served(client: httpx.Client) -> dict[str, Any]:
    details: dict[str, Any] = client.get("/indexes/small").raise_for_status().json()
    return details


def wait_until_answered(answers: list[Streamed], version: int) -> None:
    """Wait for the next answer from a version."""
    begun, deadline = len(answers), time.monotonic() + 60
    while all(answer.version != version for answer in answers[begun:]):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def files_in_use(process: psutil.Process, folder: Path) -> set[str]:
    paths = {file.path for file in process.open_files()} | {region.path for region in process.memory_maps()}
    return {path for path in paths if path.startswith(f"{folder}/")}


def test_sixteen_clients_stream_while_versions_come_and_go(tmp_path: Path) -> None:
    pair, folder = save_lively_pair(tmp_path / "pair"), tmp_path / "small"
    publish(pair, folder, 1)
    options = ["--pair", str(pair), "--index", str(folder), "--port", "0", "--threads", "1", "--watch-s", "0.1"]
    stop, answers = threading.Event(), list[Streamed]()
    with child_service(options, tmp_path / "log") as service, ThreadPoolExecutor(CLIENTS) as clients:
        url = service.wait_until_ready()
        streams = [clients.submit(ask_until, stop, url, number, answers) for number in range(CLIENTS)]
        try:
            publish_all_kinds(pair, folder, url, answers)
        finally:
            stop.set()
        for one in streams:
            one.result()
        assert_old_files_are_let_go(service, folder)
    assert all(answer.told == {answer.version} for answer in answers)
    assert max(answer.lookups for answer in answers) > 1
    assert '"status": 5' not in (tmp_path / "log").read_text()


def publish_all_kinds(pair: Path, folder: Path, url: str, answers: list[Streamed]) -> None:
    """New versions, one of them damaged, a rollback, and the removal of what is served no more."""
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        wait_until_answered(answers, 1)
        for version in (2, 3, 4):
            publish(pair, folder, version)
            wait_until_answered(answers, version)
        publish(pair, folder, 5)
        (version_folder(folder, 5) / "index.faiss").write_bytes(b"no index")
        assert client.post("/indexes/small/reload").status_code == 409
        assert (served(client)["version"], served(client)["refused"]) == (4, 5)
        roll_back(folder, 2)
        assert client.post("/indexes/small/reload").json()["version"] == 2
        wait_until_answered(answers, 2)
        assert collect_garbage(folder, keep=1) == [1, 3, 4]
        publish(pair, folder, 6)
        collect_garbage(folder, keep=1)
        wait_until_answered(answers, 6)


def assert_old_files_are_let_go(service: ChildService, folder: Path) -> None:
    current = version_folder(folder, 6)
    process = psutil.Process(service.pid)
    deadline = time.monotonic() + 30
    while (in_use := files_in_use(process, folder)) - files_in_use(process, current):
        assert time.monotonic() < deadline, in_use
        time.sleep(0.05)
    assert in_use
