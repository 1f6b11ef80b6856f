"""SIGKILL at random moments of a build and of a rebuild: what was served meanwhile, and how each resumed.

    python -m benchmarks.kill_build --pair models/nano --corpus examples/handbook

Half of the kills come after a random time, half just before a random one of the file operations below the index. While
a build runs, the served version is opened and asked over and over. After each kill it must be whole, and the same
command again must end with the same bytes as an undisturbed run. The exit code is 1 where one of that fails.

Everything is imported once, then each build runs in a fork of its own: a kill takes a second or two.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import faiss
import numpy as np
import torch
import typer

from index_builder.build import build_index, source_passages
from index_builder.rebuild import rebuild_index
from index_builder.settings import BuildSettings, RebuildSettings
from semiparametric.formats import Passage, write_jsonl
from semiparametric.pair import load_embseq
from semiparametric.store import Store, current_version

OPERATIONS = {"open", "os.rename", "os.link", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}
LIMIT_S = 300.0  # of one build: longer is a hang

Run = Callable[[Path], None]  # builds the index in a folder
Contents = dict[str, str]


@dataclass(frozen=True)
class Moment:
    """When a build is killed: after seconds, or before an operation, counted from 1. Neither lets it end."""

    seconds: float | None = None
    operation: int | None = None

    def __str__(self) -> str:
        return f"after {self.seconds:.2f} s" if self.seconds is not None else f"operation {self.operation}"


@dataclass(frozen=True)
class Kill:
    """What one kill did.

    moment: When it came.
    answered: Lookups that the served version answered while the build ran.
    stood_at: What the build had reached.
    served: `old` or `new`: what was served right after; anything else is wrong.
    resumed: Whether the same command then ended with the bytes of an undisturbed run.
    """

    moment: Moment
    answered: int
    stood_at: str
    served: str
    resumed: bool

    @property
    def well(self) -> bool:
        """Whether all was as it must be."""
        return self.resumed and self.served in {"old", "new"}


def count_operations(index: Path, on_operation: Callable[[int], None]) -> None:
    """Call a function before each file operation below a folder, with its number; it cannot be undone."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        path = arguments[0] if arguments else None
        if event not in OPERATIONS or not isinstance(path, (str, Path)) or not Path(path).is_relative_to(index):
            return
        seen += 1
        on_operation(seen)

    sys.addaudithook(hook)


def kill_at(number: int, index: Path) -> None:
    """Arrange for SIGKILL before the `number`th file operation below the index."""

    def strike(seen: int) -> None:
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    count_operations(index, strike)


def run_in_child(run: Run, index: Path, moment: Moment, meanwhile: Callable[[], None]) -> bool:
    """Run a build in a fork, killed at a moment; say whether it ended by itself.

    Raises:
        SystemExit: It failed, or took longer than `LIMIT_S`.
    """
    sys.stdout.flush()  # or the child would write the lines once more
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(run, index, moment)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        took = time.monotonic() - started
        if took > min(LIMIT_S, moment.seconds or LIMIT_S):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            if took > LIMIT_S:
                raise SystemExit(f"a build hung, to be killed {moment}")
            return False
        meanwhile()
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"a build failed, to be killed {moment}")
    return not os.WIFSIGNALED(status)


def _child(run: Run, index: Path, moment: Moment) -> None:
    one_thread()  # makes PyTorch's pool anew, which breaks where two threads that load a model do so at once
    if moment.operation is not None:
        kill_at(moment.operation, index)
    try:
        run(index)
    finally:
        failed = sys.exc_info()[0] is not None
        if failed:
            traceback.print_exc()
        os._exit(failed)


def contents(index: Path) -> Contents:
    """Digests of the served version's files, which must be whole, and its manifest without its times and folder."""
    Store.open(index, check=True).close()
    folder = index / "versions" / str(current_version(index))
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["build"]["started"], manifest["build"]["finished"], manifest["build"]["settings"]["out"]
    del digests["SHA256SUMS"]  # it covers the manifest's times
    return digests | {"manifest.json": json.dumps(manifest, sort_keys=True)}


class Asking:
    """Opens the served version and looks up in it, again and again."""

    def __init__(self, index: Path) -> None:
        self._index = index
        self.answered = 0

    def __call__(self) -> None:
        """One lookup, and a pause that leaves the processor to the build; it raises where it finds nothing."""
        pause()
        with Store.open(self._index, check=False) as store:  # a kill damages no file, and `contents` compares all
            (hits,) = store.search(np.ones((1, store.dimension), np.float32), 1)
            store.passage(hits[0].row)
        self.answered += 1


def kills_of(run: Run, served: Path, folder: Path, kills: int, seed: int) -> Iterator[Kill]:
    """Kill a build at random moments, each in a copy of the same served index.

    Args:
        run: The build.
        served: An index that has one version; the build makes the next.
        folder: Where the copies are made.
        kills: How many.
        seed: Of the moments.
    """
    index = folder / "index"  # the same path for all: the manifest names it
    before = contents(served)
    duration, operations, after = _undisturbed(run, served, index)
    dice = random.Random(seed)
    done = 0
    while done < kills:
        by_time = Moment(seconds=dice.uniform(0, duration))
        by_operation = Moment(operation=dice.randint(1, operations))
        moment = by_operation if done % 2 else by_time
        _copy(served, index)
        asking = Asking(index)
        if run_in_child(run, index, moment, asking):
            continue  # quicker than the undisturbed one: it had ended before the kill
        asking()
        found, stood_at = contents(index), _stood_at(index)
        state = "old" if found == before else "new" if found == after else "neither"
        if state != "new":  # killed after it had published: there is nothing to resume
            run_in_child(run, index, Moment(), asking)
        yield Kill(moment, asking.answered, stood_at, state, contents(index) == after)
        done += 1


def _undisturbed(run: Run, served: Path, index: Path) -> tuple[float, int, Contents]:
    """Seconds and operations of a build that nobody kills, and what it makes."""
    _copy(served, index)
    counter = index.with_name("operations")

    def counted(folder: Path) -> None:
        seen = [0]
        count_operations(folder, lambda number: seen.__setitem__(0, number))
        run(folder)
        counter.write_text(str(seen[0]))

    started = time.monotonic()
    run_in_child(counted, index, Moment(), Asking(index))
    return time.monotonic() - started, int(counter.read_text()), contents(index)


def _copy(served: Path, index: Path) -> None:
    shutil.rmtree(index, ignore_errors=True)
    shutil.copytree(served, index)


def _stood_at(index: Path) -> str:
    """How far a build came, by what it left."""
    partial = next(iter(sorted(index.glob("versions/*.partial"))), None)
    if partial is None:
        return "nothing left, or nothing yet"
    names = {path.name for path in partial.iterdir()}
    shards = len(list(partial.glob("**/*.npy")))
    if "manifest.json" in names:
        return "verifying"
    if "index.faiss" in names:
        return "index written"
    return f"{shards} shards" if shards else "reading"


def scenes(pair: Path, corpus: Path, folder: Path) -> Iterator[tuple[str, Run, Path]]:
    """A build over an index of half the corpus, and a rebuild after some passages have changed, come and gone."""
    common = {"pair": pair, "shard_passages": 4, "name": "killed"}
    passages = list(source_passages(BuildSettings.resolve(common | {"corpus": [corpus], "out": folder})))
    half, whole = folder / "half.jsonl", folder / "whole.jsonl"
    write_jsonl(half, passages[: len(passages) // 2])
    write_jsonl(whole, passages)

    def build(source: Path) -> Run:
        return lambda out: _ignored(build_index(BuildSettings.resolve(common | {"corpus": [source], "out": out})))

    run_in_child(build(half), folder / "served-half", Moment(), pause)
    yield "build", build(whole), folder / "served-half"
    run_in_child(build(whole), folder / "served-whole", Moment(), pause)
    write_jsonl(whole, _changed(passages))
    rebuild: Run = lambda out: _ignored(rebuild_index(RebuildSettings.resolve({"index": out})))  # noqa: E731
    yield "rebuild", rebuild, folder / "served-whole"


def _changed(passages: list[Passage]) -> Iterator[Passage]:
    for number, passage in enumerate(passages):
        if number % 9 == 5:
            continue
        text = f"{passage.text} As of today." if number % 3 == 0 else passage.text
        yield passage.model_copy(update={"text": text})
    yield Passage(id="new", title="New", text="A passage that was not there.")


def one_thread() -> None:
    """No pool of threads, which a fork would lose."""
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"


def pause() -> None:
    """A hundredth of a second."""
    time.sleep(0.01)


def _ignored(_: object) -> None:
    pass


def main(
    pair: Annotated[Path, typer.Option(help="The pair.")] = Path("models/nano"),
    corpus: Annotated[Path, typer.Option(help="What is indexed; a few dozen passages will do.")] = Path(
        "examples/handbook"
    ),
    kills: Annotated[int, typer.Option(help="Kills of the build, and of the rebuild.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the moments.")] = 0,
) -> None:
    one_thread()
    load_embseq(pair)  # so that its libraries are imported once and for all
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for what, run, served in scenes(pair.absolute(), corpus.absolute(), folder):
            print(
                f"{what:<8} {'killed':<16} {'it had reached':<28} {'lookups':>7}  served after  same bytes when resumed"
            )
            seen = []
            for number, kill in enumerate(kills_of(run, served, folder, kills, seed), 1):
                row = f"{number:>8} {kill.moment!s:<16} {kill.stood_at:<28} {kill.answered:>7}  {kill.served:<12}"
                print(f"{row}  {'yes' if kill.resumed else 'NO'}", flush=True)
                seen.append(kill)
            well = sum(kill.well for kill in seen)
            print(
                f"{what}: {well} of {kills} kills left a whole version served and resumed to the same bytes; "
                f"{sum(kill.answered for kill in seen)} lookups answered meanwhile, none failed\n"
            )
            good = good and well == kills
    raise SystemExit(0 if good else 1)


if __name__ == "__main__":
    typer.run(main)
