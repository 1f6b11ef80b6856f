"""`cosup demo` with a tiny pair that answers nonsense: real steps, over the documentation of this Python."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
import pytest

from cosup.child_service import child_service
from cosup.demo import QUESTIONS
from semiparametric.errors import CosupError

pytestmark = pytest.mark.system

DEMO = [sys.executable, "-m", "cosup", "demo"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_demo_answers_three_questions_and_the_next_one_reuses_its_index(tiny_pair: Path, tmp_path: Path) -> None:
    command = [*DEMO, "--pair", str(tiny_pair), "--folder", str(tmp_path / "demo")]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    assert all(f"Q: {question}\nA: " in first.stdout for question in QUESTIONS)
    assert first.stdout.endswith("The service has stopped cleanly.\n")

    log = tmp_path / "output"
    with log.open("w") as output:
        serving = subprocess.Popen(
            [*command, "--keep-serving", "--port", "0"],
            stdout=output,
            stderr=output,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in a background
        )
    try:
        url = stays_on(log, serving)
        assert "built already from this corpus with this pair" in log.read_text()
        assert httpx.get(f"{url}/ready", trust_env=False).status_code == 200
        serving.send_signal(signal.SIGINT)
        assert serving.wait(60) == 0
    finally:
        serving.kill()
    assert log.read_text().endswith("The service has stopped cleanly.\n")
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def stays_on(log: Path, serving: subprocess.Popen[bytes]) -> str:
    """The address that the demo names once it keeps serving."""
    while "Ctrl-C stops it." not in log.read_text():
        assert serving.poll() is None, log.read_text()
        time.sleep(0.2)
    return log.read_text().split("The service stays on ")[1].split()[0]


@pytest.mark.bad_input
def test_the_demo_without_a_pair_says_so_before_any_step(tmp_path: Path) -> None:
    ended = subprocess.run([*DEMO, "--pair", str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "not a pair: there is no pair.json" in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.bad_input
def test_a_service_that_cannot_start_is_reported_with_the_end_of_its_log(tiny_pair: Path, tmp_path: Path) -> None:
    options = ["--pair", str(tiny_pair), "--index", str(tmp_path / "none")]
    with (
        pytest.raises(CosupError, match=r"(?s)ended with exit code 2 before it was ready.*no index is published here"),
        child_service(options, tmp_path / "log") as service,
    ):
        service.wait_until_ready()
