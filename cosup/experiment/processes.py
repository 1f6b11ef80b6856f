"""Cells as child processes: as many at a time as there are places, each with its own log and line of progress."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from cosup.experiment.cell import PHASE
from cosup.experiment.order import LOG

_POLL_S = 0.5
_TAIL_BYTES = 4096
_STEPS = re.compile(r"(\d+)/(\d+) \[")


@dataclass(frozen=True)
class Place:
    """Where a cell may run: a GPU by the name that CUDA_VISIBLE_DEVICES knows it under, or the processors."""

    gpu: str | None
    threads: int | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What the child's environment has more than ours."""
        said = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        if self.threads is not None and "OMP_NUM_THREADS" not in os.environ:
            said["OMP_NUM_THREADS"] = str(self.threads)
        return said


def places(jobs: int | None, *, gpus_wanted: bool) -> list[Place]:
    """The places of an experiment: one for each GPU, or `jobs` of them shared out evenly."""
    gpus = _gpus() if gpus_wanted else []
    if gpus:
        return [Place(gpus[number % len(gpus)]) for number in range(jobs or len(gpus))]
    count = jobs or 1
    return [Place(None, max(1, (os.cpu_count() or 1) // count)) for _ in range(count)]


@dataclass
class Running:
    """A cell under way."""

    folder: Path
    place: Place
    process: subprocess.Popen[bytes]

    def phase(self) -> str:
        """How far it is, in a few words, from the end of its log."""
        with (self.folder / LOG).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            tail = file.read().decode("utf-8", "replace")
        said = [line.split(PHASE, 1)[1].strip() for line in tail.splitlines() if PHASE in line]
        if said and said[-1] != "training":
            return said[-1]
        steps = _STEPS.findall(tail)
        return f"training {steps[-1][0]}/{steps[-1][1]}" if steps else "training"


def run_all(
    folders: Sequence[Path],
    free: Sequence[Place],
    *,
    on_end: Callable[[Path, str | None], None],
    on_poll: Callable[[Sequence[Running]], None],
) -> None:
    """Run the cells of these folders, the first ones first.

    Args:
        folders: Each holds an order.
        free: Places, at least one.
        on_end: Called when a cell has ended, with None or why it failed.
        on_poll: Called twice a second with those under way.
    """
    waiting, idle = deque(folders), list(free)
    running: list[Running] = []
    with _ended_with_us(running):
        while waiting or running:
            while waiting and idle:
                running.append(_start(waiting.popleft(), idle.pop(0)))
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                idle.append(one.place)
                on_end(one.folder, _why_failed(one))
            on_poll(running)
            if running:
                time.sleep(_POLL_S)


def _start(folder: Path, place: Place) -> Running:
    command = [sys.executable, "-m", "cosup.experiment.cell", str(folder)]
    environment: Mapping[str, str] = {**os.environ, **place.environment}
    with (folder / LOG).open("ab") as log:
        log.write(f"{PHASE} starting\n".encode())
        log.flush()
        process = subprocess.Popen(  # noqa: S603 - our own command
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )
    return Running(folder, place, process)


def _why_failed(one: Running) -> str | None:
    code = one.process.returncode
    if code == 0:
        return None
    log = one.folder / LOG
    if code < 0:
        hint = "; the system may have run out of memory" if -code == signal.SIGKILL else ""
        return f"ended by {signal.Signals(-code).name}{hint}. Its log: {log}"
    lines = [line for line in log.read_text("utf-8", errors="replace").splitlines() if line.strip()]
    return f"{lines[-1].removeprefix('Error: ')} (log: {log})" if lines else f"exit code {code}. Its log: {log}"


@contextmanager
def _ended_with_us(running: Sequence[Running]) -> Iterator[None]:
    """No child outlives this block, however it ends; SIGTERM ends it as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        for one in running:
            one.process.terminate()
        for one in running:
            try:
                one.process.wait(10)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _gpus() -> list[str]:
    """Names of the GPUs that this process may use."""
    import torch

    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = torch.cuda.device_count()
    named = [name.strip() for name in chosen.split(",") if name.strip()] if chosen else []
    return named[:count] if named else [str(number) for number in range(count)]
