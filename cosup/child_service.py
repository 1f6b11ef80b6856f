"""`cosup serve` as a child process: started, waited for, and stopped whatever happens."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import httpx

from semiparametric.errors import CosupError

_START_LIMIT_S = 300.0
_STOP_LIMIT_S = 60.0
_POLL_S = 0.1
_LOG_LINES_SHOWN = 5


class ChildService:
    """A running `cosup serve` that logs to `log`; `url` is known once `wait_until_ready` has returned."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self.log = log
        self.url = ""

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def wait_until_ready(self) -> str:
        """Wait until it listens and `/ready` says so; its address.

        Raises:
            CosupError: It ended before, or took too long.
        """
        deadline = time.monotonic() + _START_LIMIT_S
        while not (self.url and self._is_ready()):
            if self._process.poll() is not None:
                raise self._failure(f"it ended with exit code {self._process.returncode} before it was ready")
            if time.monotonic() > deadline:
                raise self._failure(f"it was not ready after {_START_LIMIT_S:.0f} s")
            self.url = self.url or self._logged_url()
            time.sleep(_POLL_S)
        return self.url

    def wait(self) -> None:
        """Wait until it ends by itself or Ctrl-C reaches us both."""
        try:
            self._process.wait()
        except KeyboardInterrupt:
            return

    def stop(self) -> None:
        """End it with SIGTERM.

        Raises:
            CosupError: It did not end in time, or not with exit code 0.
        """
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired as error:
            raise self._failure(f"it did not end within {_STOP_LIMIT_S:.0f} s after SIGTERM") from error
        if code != 0:
            raise self._failure(f"it ended with exit code {code}")

    def kill(self) -> None:
        """End it at once, where it still runs."""
        self._process.kill()
        self._process.wait()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ready", trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _logged_url(self) -> str:
        for line in self._log_lines():
            try:
                entry = json.loads(line)
            except json.JSONDecodeError:  # a line that is still being written, or a library's own
                continue
            if isinstance(entry, dict) and "url" in entry:
                return str(entry["url"])
        return ""

    def _log_lines(self) -> list[str]:
        return self.log.read_text("utf-8", errors="replace").splitlines()

    def _failure(self, what: str) -> CosupError:
        last = "\n".join(self._log_lines()[-_LOG_LINES_SHOWN:])
        return CosupError(f"{what}. The end of its log, {self.log}:\n{last}", where="cosup serve")


def started(options: Sequence[str], log: Path) -> ChildService:
    """Start the service with these options of `cosup serve`. Whoever calls this ends it."""
    command = [sys.executable, "-m", "cosup", "serve", *options]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)  # noqa: S603 - our own command
    return ChildService(process, log)


@contextmanager
def child_service(options: Sequence[str], log: Path) -> Iterator[ChildService]:
    """Start the service with these options of `cosup serve`; at the end of the block stop it and check its exit code.

    Raises:
        CosupError: It did not end cleanly.
    """
    before = signal.signal(signal.SIGTERM, _exit)  # so that a SIGTERM to us ends the block, and with it the child
    service = started(options, log)
    try:
        yield service
        service.stop()
    finally:
        service.kill()
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
