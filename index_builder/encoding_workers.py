"""One process per device: each loads Embseq, is handed shards, and writes each of its shards whole.

A worker has the only other end of its pipe. So either side sees at once when the other is gone, however it went:
this process then says which device failed, and a worker ends.
"""

import logging
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from threading import Thread

from index_builder.encoder import Counts, EncoderPlan, OnPassages, ShardEncoder, ShardJob
from index_builder.shards import Shards
from semiparametric.errors import CosupError

logger = logging.getLogger(__name__)

_AHEAD = 2  # shards that a worker holds: one it computes, one it tokenizes meanwhile

Message = int | Counts | CosupError | OSError
"""What a worker says: passages encoded, a shard written, or why it cannot go on."""


@dataclass
class _Worker:
    device: str
    log: Path
    process: SpawnProcess
    pipe: "Connection[ShardJob | None, Message]"
    held: int = 0


def encode_with_workers(
    jobs: Iterator[ShardJob], shards: Shards, plans: list[EncoderPlan], on_passages: OnPassages
) -> Generator[Counts]:
    """Make and write shards in processes, one for each plan. They end when this generator does.

    Yields:
        The counts of each shard that is written.

    Raises:
        CosupError: A worker ended before its time.
    """
    workers: list[_Worker] = []
    try:
        for number, plan in enumerate(plans):
            workers.append(_start(number, plan, shards))
        for _ in range(_AHEAD):
            for worker in workers:
                _hand_next(worker, jobs)
        while busy := {worker.pipe: worker for worker in workers if worker.held}:
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                said = _heard(worker)
                if isinstance(said, int):
                    on_passages(said)
                    continue
                worker.held -= 1
                _hand_next(worker, jobs)
                yield said
    finally:
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            worker.process.join()
            worker.pipe.close()


def _start(number: int, plan: EncoderPlan, shards: Shards) -> _Worker:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    log = shards.log(f"worker-{number}")
    process = context.Process(target=_work, args=(plan, shards, there, log), name=f"encoder of {plan.device}")
    process.start()
    there.close()
    logger.info("worker %d encodes on %s, process %d, log in %s", number, plan.device, process.pid, log)
    return _Worker(plan.device, log, process, here)


def _hand_next(worker: _Worker, jobs: Iterator[ShardJob]) -> None:
    job = next(jobs, None)
    if job is None:
        return
    try:
        worker.pipe.send(job)
    except OSError:
        raise _died(worker) from None
    worker.held += 1


def _heard(worker: _Worker) -> int | Counts:
    try:
        said = worker.pipe.recv()
    except (EOFError, OSError):
        raise _died(worker) from None
    if isinstance(said, CosupError | OSError):
        raise said
    return said


def _died(worker: _Worker) -> CosupError:
    worker.process.join(10)
    code = worker.process.exitcode
    how = f"by {signal.Signals(-code).name}" if code is not None and code < 0 else f"with exit code {code}"
    return CosupError(
        f"the worker of {worker.device} ended {how}",
        where=str(worker.log),
        remedy="This log says more, unless memory was short: try a smaller --batch-tokens. "
        "The same command resumes from the shards that are there",
    )


def _work(plan: EncoderPlan, shards: Shards, pipe: "Connection[Message, ShardJob]", log: Path) -> None:
    """What a worker does; it never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes of a terminal; the first one ends us
    _write_to(log)
    jobs: SimpleQueue[ShardJob] = SimpleQueue()
    Thread(target=_receive, args=(pipe, jobs), daemon=True).start()
    try:
        encoder = ShardEncoder(plan)
        for encoded in encoder.run(iter(jobs.get, None), pipe.send):
            shards.write(encoded.number, encoded.vectors)
            pipe.send(encoded.counts)
    except (CosupError, OSError) as error:
        traceback.print_exc()
        pipe.send(error)
    except BaseException:  # noqa: BLE001 - this is where the process ends
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


def _receive(pipe: "Connection[Message, ShardJob]", jobs: "SimpleQueue[ShardJob]") -> None:
    """Take jobs as they come, and end with the process that sends them."""
    while True:
        try:
            jobs.put(pipe.recv())
        except (EOFError, OSError):
            os._exit(1)


def _write_to(log: Path) -> None:
    """Let all that this process says, its libraries in C too, go into a file."""
    with log.open("ab", buffering=0) as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
