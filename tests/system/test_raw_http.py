"""HTTP as no client would write it, to a real service: it is refused or served, and the next client is served too."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import psutil
import pytest

from cosup.child_service import ChildService, child_service
from tests.conftest import save_tiny_pair
from tests.small_index import build_small_index

pytestmark = [pytest.mark.system, pytest.mark.bad_input]

BODY = b'{"query": "tide"}'
HEAD = b"POST /retrieve HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildService]:
    """A service whose bodies must arrive in two seconds."""
    folder = tmp_path_factory.mktemp("raw")
    pair = save_tiny_pair(folder / "tiny", seed=0)
    index = build_small_index(pair, folder / "small")
    options = ["--pair", str(pair), "--index", str(index), "--port", "0", "--threads", "1", "--timeout-s", "2"]
    with child_service(options, folder / "log") as service:
        service.wait_until_ready()
        yield service


def connected(service: ChildService) -> socket.socket:
    host, port = service.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=30)


def answered(service: ChildService, sent: bytes) -> bytes:
    """All that comes back until the service closes, or until nothing has come for a second."""
    with connected(service) as connection:
        connection.sendall(sent)
        connection.settimeout(1)
        came = b""
        try:
            while piece := connection.recv(65536):
                came += piece
        except TimeoutError:
            pass
        except ConnectionResetError:
            pass
    return came


def is_well(service: ChildService) -> None:
    reply = httpx.post(
        f"{service.url}/retrieve", content=BODY, headers={"content-type": "application/json"}, timeout=30
    )
    assert reply.status_code == 200
    lines = [json.loads(line) for line in service.log.read_text("utf-8").splitlines()]
    assert [line for line in lines if line["level"] in {"error", "critical"}] == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n\0\xff" * 100,
        b"GET\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-Id : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 50_000 + b"\r\n",
        HEAD + b"Content-Length: 17\r\nContent-Length: 18\r\n\r\n" + BODY,
        HEAD + b"Content-Length: -1\r\n\r\n" + BODY,
        HEAD + b"Content-Length: 1_7\r\n\r\n" + BODY,
        HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + BODY,
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 17\r\n\r\n" + BODY,
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[:60])[2:-1],
)
def test_what_is_not_http_is_refused_and_the_connection_closed(service: ChildService, sent: bytes) -> None:
    came = answered(service, sent)
    statuses = [int(line.split()[1]) for line in came.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
    assert len(statuses) <= 1
    assert all(400 <= status <= 501 for status in statuses), came[:300]
    is_well(service)


def test_length_and_chunks_together_leave_nothing_for_a_second_request(service: ChildService) -> None:
    """Request smuggling: what one reader takes for the body, another would take for the next request."""
    hidden = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    came = answered(service, HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden)
    assert came.count(b"HTTP/1.1 ") <= 2
    came = answered(service, HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + b"0\r\n\r\n" + hidden)
    assert b"cosup:" not in came
    is_well(service)


def test_an_absolute_address_or_an_upgrade_changes_nothing(service: ChildService) -> None:
    for target in (b"http://evil.example/health", b"//evil.example/health", b"*"):
        came = answered(service, b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert came.split()[1] in {b"404", b"400", b"405"}, came
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
    assert answered(service, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + upgrade).startswith(b"HTTP/1.1 200")
    is_well(service)


def test_requests_in_one_piece_are_answered_in_their_order(service: ChildService) -> None:
    ids = [f"pipelined-{number}" for number in range(50)]
    get = "GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {}\r\n\r\n"
    came = answered(service, "".join(get.format(one) for one in ids).encode())
    echoed = [
        line.split(b": ")[1].decode() for line in came.split(b"\r\n") if line.lower().startswith(b"x-request-id:")
    ]
    assert echoed == ids


def test_a_header_of_the_client_never_adds_one_to_the_answer(service: ChildService) -> None:
    for hostile in (b"a%0d%0aSet-Cookie: x=1", b"\x1b[31mred", b"a" * 5000, b"\xe2\x80\xae", b"a b"):
        came = answered(service, b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: " + hostile + b"\r\n\r\n")
        head = came.partition(b"\r\n\r\n")[0].lower()
        assert b"set-cookie" not in head
        assert hostile.lower() not in head
    is_well(service)


def test_bodies_that_trickle_are_ended_and_others_are_served_meanwhile(service: ChildService) -> None:
    """Slow bodies: each client sends a byte now and then, and never the last one."""
    with ExitStack() as held:
        slow = [held.enter_context(connected(service)) for _ in range(100)]
        for connection in slow:
            connection.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
        is_well(service)
        deadline = time.monotonic() + 60
        for connection in slow:
            connection.settimeout(max(1, deadline - time.monotonic()))
            assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_heads_that_never_end_hold_up_nobody(service: ChildService) -> None:
    with ExitStack() as held:
        for _ in range(300):
            held.enter_context(connected(service)).sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        is_well(service)
    process = psutil.Process(service.pid)
    for _ in range(200):
        if len(process.net_connections()) < 20:
            break
        time.sleep(0.05)
    assert len(process.net_connections()) < 20
