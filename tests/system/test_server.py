"""`cosup serve` as a real process, asked over loopback: start, hang-ups, draining, and refusals before it listens."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cosup.child_service import ChildService, child_service, started
from tests.small_index import build_small_index

pytestmark = pytest.mark.system

LONG = {"question": "What does the keeper write down?", "retrieval": "never", "max_new_tokens": 12_000}
SHORT = LONG | {"max_new_tokens": 2}
STREAM = LONG | {"stream": True}


@pytest.fixture(scope="module")
def patient_pair(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pair with room for answers that take many seconds; a random Gen goes on until its limit."""
    pair = tmp_path_factory.mktemp("pair") / "patient"
    shutil.copytree(tiny_pair, pair)
    config = pair / "gen" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_position_embeddings": 16_384}))
    return pair


@pytest.fixture(scope="module")
def index(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small_index(tiny_pair, tmp_path_factory.mktemp("index") / "small")


def options(pair: Path, index: Path, **settings: object) -> list[str]:
    settings = {"pair": pair, "index": index, "port": 0, "threads": 1, "max_new_tokens_limit": 20_000} | settings
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]


def entries_of(log: Path) -> list[dict[str, object]]:
    whole_lines = log.read_text().split("\n")[:-1]
    return [json.loads(line) for line in whole_lines]


def logged(service: ChildService, **said: object) -> list[dict[str, object]]:
    """The entries that say so; a request's is written after its reply has left."""
    deadline = time.monotonic() + 30
    while not (found := [entry for entry in entries_of(service.log) if said.items() <= entry.items()]):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def seconds_until_a_place_is_free(service: ChildService) -> float:
    start = time.monotonic()
    while httpx.post(f"{service.url}/generate", json=SHORT, trust_env=False).status_code != 200:
        assert time.monotonic() - start < 60
        time.sleep(0.02)
    return time.monotonic() - start


@pytest.fixture(scope="module")
def service(patient_pair: Path, index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildService]:
    """A service with a single place, so that a place that is not given back is noticed at once."""
    log = tmp_path_factory.mktemp("service") / "log"
    with child_service(options(patient_pair, index, max_sessions=1, queue=0), log) as service:
        service.wait_until_ready()
        yield service


def test_a_service_says_where_it_listens_and_logs_nothing_but_json(service: ChildService) -> None:
    headers = {"X-Request-Id": "r7"}
    reply = httpx.post(f"{service.url}/generate", json=SHORT, headers=headers, trust_env=False)
    assert reply.status_code == 200
    assert reply.json()["usage"]["completion_tokens"] == 2
    assert [entry["path"] for entry in logged(service, request_id="r7")] == ["/generate"]
    assert [entry["url"] for entry in entries_of(service.log) if "url" in entry] == [service.url]


def test_a_client_that_hangs_up_while_its_answer_streams_frees_its_place(service: ChildService) -> None:
    body = LONG | {"stream": True}
    headers = {"X-Request-Id": "hangs-up"}
    with httpx.stream("POST", f"{service.url}/generate", json=body, headers=headers, trust_env=False) as reply:
        lines = reply.iter_lines()
        assert next(lines) == "event: token"
        assert httpx.post(f"{service.url}/generate", json=SHORT, trust_env=False).status_code == 503
    assert seconds_until_a_place_is_free(service) < 2
    [line] = logged(service, request_id="hangs-up")
    assert line["status"] == 200
    assert line["finished"] is False


def test_a_client_that_hangs_up_while_it_waits_frees_its_place(service: ChildService) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{service.url}/generate", json=LONG, timeout=1, trust_env=False)
    assert seconds_until_a_place_is_free(service) < 2
    assert logged(service, status=499)


def test_a_body_without_end_is_refused_while_it_comes(service: ChildService) -> None:
    address = httpx.URL(service.url)
    head = "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection((address.host, address.port or 0), timeout=30) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        sender = threading.Thread(target=send_chunks, args=(connection,))
        sender.start()
        reply = connection.recv(65536)
    sender.join()
    assert reply.startswith(b"HTTP/1.1 413 ")


def send_chunks(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the service closes the connection after its answer
        while True:
            connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")


def begun(reply: httpx.Response) -> Iterator[str]:
    """The lines of a stream after its first one."""
    lines = reply.iter_lines()
    assert next(lines) == "event: token"
    return lines


def when_it_ends(url: str) -> httpx.Response:
    """What `/ready` says once it says no."""
    deadline = time.monotonic() + 30
    while (reply := httpx.get(f"{url}/ready", trust_env=False)).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert reply.status_code == 503
    return reply


def test_after_sigterm_a_running_answer_is_finished(patient_pair: Path, index: Path, tmp_path: Path) -> None:
    body = LONG | {"max_new_tokens": 300, "stream": True}
    with child_service(options(patient_pair, index, drain_s=200), tmp_path / "log") as service:
        url = service.wait_until_ready()
        with httpx.stream("POST", f"{url}/generate", json=body, timeout=200, trust_env=False) as reply:
            lines = begun(reply)
            os.kill(service.pid, signal.SIGTERM)
            assert "event: done" in list(lines)
        service.stop()
    assert logged(service, path="/generate", finished=True)


def told(connection: socket.socket, body: bytes) -> bytes:
    """All that a client receives whose body leaves later than its head; ConnectionResetError where it is cut off."""
    head = f"POST /generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode())
    time.sleep(0.2)
    connection.sendall(body)
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_after_sigterm_it_is_not_ready_at_once_and_says_so_to_new_questions_while_an_answer_runs(
    patient_pair: Path, index: Path, tmp_path: Path
) -> None:
    with child_service(options(patient_pair, index, drain_s=200), tmp_path / "log") as service:
        url = service.wait_until_ready()
        with httpx.stream("POST", f"{url}/generate", json=STREAM, timeout=60, trust_env=False) as reply:
            lines = begun(reply)
            os.kill(service.pid, signal.SIGTERM)
            told = when_it_ends(url)
            assert told.json()["detail"] == "the service is about to end; ask another one"
            assert told.headers["connection"] == "close"
            assert httpx.get(f"{url}/health", trust_env=False).status_code == 200
            refused = httpx.post(f"{url}/generate", json=SHORT, trust_env=False)
            assert (refused.status_code, refused.headers["connection"]) == (503, "close")
            assert refused.json()["type"] == "urn:cosup:problem:ending"
            assert refused.headers["retry-after"] == "2"
            chat = httpx.post(f"{url}/v1/chat/completions", json={}, trust_env=False)
            assert (chat.status_code, chat.json()["error"]["code"]) == (503, "ending")
            assert next(lines)  # the answer still comes
        service.stop()  # nothing runs any more, so it does not wait for the rest of its drain


def test_after_sigterm_whoever_has_connected_or_still_sends_is_told_so_and_not_cut_off(
    patient_pair: Path, index: Path, tmp_path: Path
) -> None:
    with child_service(options(patient_pair, index, drain_s=200), tmp_path / "log") as service:
        url = httpx.URL(service.wait_until_ready())
        with (
            httpx.stream("POST", f"{url}/generate", json=STREAM, timeout=60, trust_env=False) as reply,
            socket.create_connection((url.host, url.port or 80), timeout=30) as early,
        ):
            lines = begun(reply)  # of an answer that holds the end up
            os.kill(service.pid, signal.SIGTERM)
            when_it_ends(str(url))
            time.sleep(0.5)  # connections that are idle have been closed by then
            assert b"HTTP/1.1 503" in told(early, json.dumps(SHORT).encode())
            with socket.create_connection((url.host, url.port or 80), timeout=30) as late:
                assert b"HTTP/1.1 503" in told(late, json.dumps(SHORT).encode() + b" " * 900_000)
            assert next(lines)
        service.stop()


def test_before_it_refuses_it_gives_notice(patient_pair: Path, index: Path, tmp_path: Path) -> None:
    with child_service(options(patient_pair, index, notice_s=600), tmp_path / "log") as service:
        url = service.wait_until_ready()
        os.kill(service.pid, signal.SIGTERM)
        when_it_ends(url)
        answer = httpx.post(f"{url}/generate", json=SHORT, timeout=60, trust_env=False)
        assert (answer.status_code, answer.headers["connection"]) == (200, "close")
        service.stop()  # a second signal ends it at once


def test_an_answer_that_outlasts_the_drain_is_cut_and_the_exit_is_still_clean(
    patient_pair: Path, index: Path, tmp_path: Path
) -> None:
    with child_service(options(patient_pair, index, drain_s=1), tmp_path / "log") as service:
        service.wait_until_ready()
        with httpx.stream("POST", f"{service.url}/generate", json=STREAM, trust_env=False) as reply:
            lines = reply.iter_lines()
            next(lines)
            start = time.monotonic()
            stopper = threading.Thread(target=service.stop)
            stopper.start()
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
        stopper.join()
        assert time.monotonic() - start < 20


@pytest.mark.bad_input
def test_a_damaged_index_is_not_served(tiny_pair: Path, index: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(index, damaged)
    vectors = damaged / "versions" / "1" / "index.faiss"
    vectors.write_bytes(vectors.read_bytes()[:-40])
    command = [sys.executable, "-m", "cosup", "serve", *options(tiny_pair, damaged)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "index.faiss" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_killed_service_serves_again_at_the_same_address(patient_pair: Path, index: Path, tmp_path: Path) -> None:
    service = started(options(patient_pair, index), tmp_path / "log")
    try:
        url = service.wait_until_ready()
        with httpx.stream("POST", f"{url}/generate", json=STREAM, trust_env=False) as reply:
            lines = begun(reply)
            service.kill()
            with pytest.raises(httpx.RemoteProtocolError):
                list(lines)
    finally:
        service.kill()
    port = httpx.URL(url).port
    with child_service(options(patient_pair, index, port=port), tmp_path / "again") as service:
        assert service.wait_until_ready() == url
        assert httpx.post(f"{url}/generate", json=SHORT, trust_env=False).status_code == 200
