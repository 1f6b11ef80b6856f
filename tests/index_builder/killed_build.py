"""Run by the kill tests: builds in forked children, each killed at one chosen file operation below the index.

Usage: killed_build.py PAIR CORPUS FOLDER INDEX_TYPE, where FOLDER/served is an index with one version. It prints one
JSON line per kill: what a copy of that index served right after it, and after the same build was run again.

Everything is imported once, then each build runs in a fork of its own, so that a hundred of them take half a minute.
The kill is a real SIGKILL, raised by an audit hook just before the operation.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from index_builder.build import build_index
from index_builder.settings import BuildSettings
from semiparametric.store import Store, current_version

OPERATIONS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree"}


def kill_at(number: int, index: Path) -> None:
    """Arrange for SIGKILL before the `number`th file operation below the index."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        path = arguments[0] if arguments else None
        if event not in OPERATIONS or not isinstance(path, (str, Path)) or not Path(path).is_relative_to(index):
            return
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def build_in_child(settings: BuildSettings, kill: int | None) -> bool:
    """Run a build in a fork and say whether it ended by itself."""
    sys.stdout.flush()  # or the child would write the lines once more
    child = os.fork()
    if child == 0:
        if kill is not None:
            kill_at(kill, settings.out)
        try:
            build_index(settings)
        finally:
            os._exit(sys.exc_info()[0] is not None)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"a build failed, to be killed at operation {kill}")
    return not os.WIFSIGNALED(status)


def contents(index: Path) -> dict[str, str]:
    """Digests of the served version's files, and its manifest without its times and folder."""
    Store.open(index, check=True).close()
    folder = index / "versions" / str(current_version(index))
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["build"]["started"], manifest["build"]["finished"], manifest["build"]["settings"]["out"]
    del digests["SHA256SUMS"]  # it covers the manifest's times
    return digests | {"manifest.json": json.dumps(manifest, sort_keys=True)}


def main(pair: str, corpus: str, folder: str, index_type: str) -> Iterator[dict[str, object]]:
    """Kill a build before its first operation, its second, and so on, until one ends by itself."""
    torch.set_num_threads(1)  # and no pool of threads, which a fork would lose
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
        ended = build_in_child(settings, number)
        killed = contents(out)
        if not ended:
            build_in_child(settings, None)
        yield {"ended": ended, "killed": killed, "resumed": contents(out)}
        shutil.rmtree(out)


if __name__ == "__main__":
    for line in main(*sys.argv[1:]):
        sys.stdout.write(json.dumps(line) + "\n")
