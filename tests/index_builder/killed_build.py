"""Run by the kill tests: builds in forked children, each killed at one chosen file operation below the index.

Usage: killed_build.py PAIR CORPUS FOLDER INDEX_TYPE, where FOLDER/served is an index with one version. It prints one
JSON line per kill: what a copy of that index served right after it, and after the same build was run again.

Everything is imported once, then each build runs in a fork of its own, so that a hundred of them take half a minute.
The kill is a real SIGKILL, raised by an audit hook just before the operation.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.kill_build import Moment, contents, one_thread, pause, run_in_child
from index_builder.build import build_index
from index_builder.settings import BuildSettings


def main(pair: str, corpus: str, folder: str, index_type: str) -> Iterator[dict[str, object]]:
    """Kill a build before its first operation, its second, and so on, until one ends by itself."""
    one_thread()
    number, ended = 0, False
    while not ended:
        number += 1
        out = Path(folder) / str(number)
        shutil.copytree(Path(folder) / "served", out)
        given = {
            "pair": pair,
            "corpus": corpus,
            "out": out,
            "index_type": index_type,
            "shard_passages": 12,
            "name": "k",
        }
        settings = BuildSettings.resolve(given)

        def build(_: Path, settings: BuildSettings = settings) -> None:
            build_index(settings)

        ended = run_in_child(build, out, Moment(operation=number), pause)
        killed = contents(out)
        if not ended:
            run_in_child(build, out, Moment(), pause)
        yield {"ended": ended, "killed": killed, "resumed": contents(out)}
        shutil.rmtree(out)


if __name__ == "__main__":
    for line in main(*sys.argv[1:]):
        sys.stdout.write(json.dumps(line) + "\n")
