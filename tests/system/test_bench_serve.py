"""`cosup bench-serve` against a running `cosup serve`: what it counts, and that Ctrl-C loses nothing."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from cosup.child_service import ChildService, child_service
from tests.small_index import build_small_index

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def service(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChildService]:
    """One place and nobody may wait, so that two clients at a time get refusals."""
    folder = tmp_path_factory.mktemp("service")
    index = build_small_index(tiny_pair, folder / "small")
    options = ["--pair", str(tiny_pair), "--index", str(index), "--port", "0", "--threads", "1"]
    with child_service([*options, "--max-sessions", "1", "--queue", "0"], folder / "log") as service:
        service.wait_until_ready()
        yield service


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "questions.txt"
    path.write_text("Who lights the lamp?\nWhen does the tide turn?\nWhat drives the wheel?\n", "utf-8")
    return path


def command(service: ChildService, questions: Path, **options: object) -> list[str]:
    options = {"url": service.url, "questions": questions, "retrieval": "first", "max_new_tokens": 8} | options
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return [sys.executable, "-m", "cosup", "bench-serve", *words]


def benched(service: ChildService, questions: Path, out: Path, **options: object) -> tuple[str, dict[str, Any]]:
    words = command(service, questions, out=out, **options)
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout, json.loads(out.read_text("utf-8"))


def counted(service: ChildService, sample: str) -> float:
    lines = httpx.get(f"{service.url}/metrics", trust_env=False).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(sample))


def test_what_the_clients_saw_is_what_the_service_counted(
    service: ChildService, questions: Path, tmp_path: Path
) -> None:
    names = ("cosup:answers_total", "cosup:lookups_total", "cosup:completion_tokens_total")
    before = [counted(service, name) for name in names]
    shown, saved = benched(service, questions, tmp_path / "figures.json", requests=7, concurrency=1)
    after = [counted(service, name) for name in names]
    assert shown.startswith("7 requests in ")
    assert "7 answered (200: 7)" in shown
    requests = saved["requests"]
    assert len(requests) == saved["figures"]["answered"] == 7
    totals = [7, sum(one["retrievals"] for one in requests), sum(one["completion_tokens"] for one in requests)]
    assert [later - earlier for earlier, later in zip(before, after, strict=True)] == totals
    for one in requests:
        assert 0 < one["first_s"] <= one["latency_s"]
        assert one["lookup_s"] < one["engine_s"] < one["latency_s"]
    assert saved["settings"]["requests"] == 7


def test_refusals_are_counted_by_their_status_and_the_load_goes_on(
    service: ChildService, questions: Path, tmp_path: Path
) -> None:
    _, saved = benched(service, questions, tmp_path / "figures.json", requests=20, concurrency=4, max_new_tokens=100)
    statuses = saved["figures"]["statuses"]
    assert set(statuses) == {"200", "503"}
    assert sum(statuses.values()) == 20


def test_requests_at_a_rate_do_not_wait_for_one_another(service: ChildService, questions: Path, tmp_path: Path) -> None:
    options = {"requests": 15, "rate": 200, "max_new_tokens": 400, "retrieval": "never"}
    _, saved = benched(service, questions, tmp_path / "figures.json", **options)
    assert saved["figures"]["statuses"]["503"] > 0
    begins = [one["began_s"] for one in saved["requests"]]
    _, again = benched(service, questions, tmp_path / "figures.json", **options)
    assert sorted(begins) == sorted(one["began_s"] for one in again["requests"])  # the seed's


def test_without_a_stream_there_is_no_first_text(service: ChildService, questions: Path, tmp_path: Path) -> None:
    words = command(service, questions, out=tmp_path / "figures.json", requests=2, concurrency=1)
    shown = subprocess.run([*words, "--no-stream"], capture_output=True, text=True, check=True).stdout
    assert "whole answer" in shown
    assert "first text" not in shown


def test_a_load_ends_when_its_time_is_over(service: ChildService, questions: Path, tmp_path: Path) -> None:
    options = {"requests": 1_000_000, "concurrency": 1, "duration_s": 0.5}
    _, saved = benched(service, questions, tmp_path / "figures.json", **options)
    assert 0 < saved["figures"]["answered"] < 1_000_000
    assert all(one["began_s"] <= 0.5 for one in saved["requests"])


def test_a_request_that_takes_too_long_is_given_up(service: ChildService, questions: Path, tmp_path: Path) -> None:
    options = {"requests": 1, "concurrency": 1, "timeout_s": 0.05, "max_new_tokens": 400, "retrieval": "never"}
    _, saved = benched(service, questions, tmp_path / "figures.json", **options)
    assert saved["figures"]["statuses"] == {"timeout": 1}


def test_ctrl_c_prints_what_there_is(service: ChildService, questions: Path, tmp_path: Path) -> None:
    words = command(service, questions, requests=1_000_000, concurrency=1, out=tmp_path / "figures.json")
    before = counted(service, "cosup:answers_total")
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in a background
    )
    try:
        while counted(service, "cosup:answers_total") < before + 3:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        shown, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert " answered (200: " in shown.splitlines()[0]
    assert complaints.splitlines()[-1] == "Interrupted."
    assert json.loads((tmp_path / "figures.json").read_text("utf-8"))["figures"]["answered"] >= 2


@pytest.mark.bad_input
def test_an_address_where_nothing_answers_is_refused_at_once(service: ChildService, questions: Path) -> None:
    words = command(service, questions, url="http://127.0.0.1:9")
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "127.0.0.1:9: nothing answers there (ConnectError). Start `cosup serve`" in ended.stderr
