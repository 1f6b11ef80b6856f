"""Run by the kill test: extensions in forked children, each killed at one chosen file operation below the index.

Usage: killed_extension.py FOLDER. It prints one JSON line per kill: the passages that were served right after it, those
after the same change was run again (where it had not been published), and what was left lying about after that.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.kill_build import kill_at
from semiparametric.formats import Passage
from semiparametric.store import Store, current_version
from semiparametric.store.layout import partial_folders
from tests.semiparametric.stores import build, extend, passages, random_vectors

BEFORE = 2  # the version that is served before each kill


def extend_in_child(index: Path, kill: int | None) -> bool:
    """Run the change in a fork and say whether it ended by itself."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        if kill is not None:
            kill_at(kill, index)
        try:
            added = [Passage(id="p3", text="again"), Passage(id="new", text="x")]
            extend(index, added, random_vectors(2, seed=2), ["p5"])
        finally:
            os._exit(sys.exc_info()[0] is not None)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"an extension failed, to be killed at operation {kill}")
    return not os.WIFSIGNALED(status)


def served(index: Path) -> list[str]:
    """The passages that are served, verified."""
    with Store.open(index, check=True) as store:
        return [store.passage(row).model_dump_json() for row in store.live_rows().tolist()]


def main(folder: str) -> Iterator[dict[str, object]]:
    """Kill an extension before its first operation, its second, and so on, until one ends by itself."""
    start = Path(folder) / "start"
    build(start, passages(10), random_vectors(10))
    extend(start, [Passage(id="old", text="x")], random_vectors(1, seed=1), ["p4"])
    number, ended = 0, False
    while not ended:
        number += 1
        index = Path(folder) / str(number)
        shutil.copytree(start, index)
        ended = extend_in_child(index, number)
        killed = served(index)
        if current_version(index) == BEFORE:
            extend_in_child(index, None)
        left = [path.name for path in partial_folders(index)]
        yield {"ended": ended, "killed": killed, "resumed": served(index), "left": left}
        shutil.rmtree(index)


if __name__ == "__main__":
    for line in main(*sys.argv[1:]):
        sys.stdout.write(json.dumps(line) + "\n")
