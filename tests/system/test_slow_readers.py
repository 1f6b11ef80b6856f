"""Clients that hardly read what they asked for: they hold up nobody else, and their time ends."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.service_process import raw_post
from cosup.child_service import ChildService, child_service
from semiparametric.formats import Passage
from tests.small_index import build_small_index

pytestmark = pytest.mark.system

# Four megabytes for each lookup, more than all buffers on the way to a client hold.
PASSAGES = [Passage(id=f"p{number}", title="Long", text=f"{number} " + "word " * 8000) for number in range(100)]
SMALL = {"question": "What does the keeper write down?", "retrieval": "never", "max_new_tokens": 4}
LARGE = SMALL | {"retrieval": "first", "top_k": 100, "max_new_tokens": 20, "stream": True}
PATIENCE_S = 30  # half of what a single event may take to leave


@pytest.fixture(scope="module")
def service(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildService]:
    """It has one place more than there are slow readers, and gives a request three seconds."""
    folder = tmp_path_factory.mktemp("service")
    index = build_small_index(tiny_pair, folder / "small", passages=PASSAGES)
    options = ["--pair", str(tiny_pair), "--index", str(index), "--port", "0", "--threads", "1"]
    with child_service([*options, "--max-sessions", "4", "--timeout-s", "3"], folder / "log") as service:
        service.wait_until_ready()
        yield service


def connection_that_asks(service: ChildService, path: str, body: dict[str, object]) -> socket.socket:
    """A client with next to no buffer, which has asked and read the first bytes of its answer."""
    address = httpx.URL(service.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(60)
    connection.connect((address.host, address.port))
    connection.sendall(raw_post(service.url, path, body))
    assert connection.recv(12) == b"HTTP/1.1 200"
    return connection


def read_now_and_then(connection: socket.socket, stop: threading.Event) -> None:
    while not stop.wait(0.2):
        try:
            if not connection.recv(1):
                return
        except OSError:
            return


def running(service: ChildService) -> int:
    lines = httpx.get(f"{service.url}/metrics", trust_env=False).text.splitlines()
    return int(next(float(line.split()[1]) for line in lines if line.startswith("cosup:num_sessions_running ")))


def connected(service: ChildService, clients: Sequence[socket.socket]) -> set[int]:
    """The ports of these clients that the service is connected with."""
    ports = {client.getsockname()[1] for client in clients}
    connections = psutil.Process(service.pid).net_connections("tcp")
    return ports & {one.raddr.port for one in connections if one.raddr}


def test_slow_readers_of_streams_hold_up_nobody_and_their_time_ends(service: ChildService) -> None:
    stop = threading.Event()
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connection_that_asks(service, "/generate", LARGE))) for _ in range(3)]
        reader = threading.Thread(target=read_now_and_then, args=(slow[0], stop))
        reader.start()
        stack.callback(reader.join)
        stack.callback(stop.set)
        assert running(service) == 3
        assert httpx.post(f"{service.url}/generate", json=SMALL, trust_env=False).status_code == 200
        deadline = time.monotonic() + PATIENCE_S
        while running(service) > 0 or connected(service, slow):
            assert time.monotonic() < deadline
            time.sleep(0.1)
    lines = [json.loads(line) for line in service.log.read_text().split("\n")[:-1]]
    assert [line["finished"] for line in lines if line.get("duration_s", 0) > 1] == [False] * 3
    assert httpx.post(f"{service.url}/generate", json=SMALL, trust_env=False).status_code == 200


def test_whole_responses_that_nobody_reads_are_forgotten(service: ChildService) -> None:
    body: dict[str, object] = {"query": "What does the keeper write down?", "top_k": 100}
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(connection_that_asks(service, "/retrieve", body))) for _ in range(3)]
        assert len(connected(service, slow)) == 3
        assert httpx.post(f"{service.url}/generate", json=SMALL, trust_env=False).status_code == 200
        deadline = time.monotonic() + PATIENCE_S
        while connected(service, slow):
            assert time.monotonic() < deadline
            time.sleep(0.1)
