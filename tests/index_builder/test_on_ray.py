"""The same build as a Ray Data pipeline, on a local cluster with two workers."""

import importlib
import logging
import os
import re
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from index_builder.build import build_index
from index_builder.settings import BuildSettings
from index_builder.shards import Shards
from semiparametric.errors import InputError
from semiparametric.formats import Passage, write_jsonl

ROOT = Path(__file__).parents[2]
WITHOUT_RAY = find_spec("ray") is None

needs_ray = pytest.mark.skipif(WITHOUT_RAY, reason="Ray is not installed: pip install 'cosup[ray]'")


@needs_ray
@pytest.mark.slow
@pytest.mark.system
@pytest.mark.timeout(300)
def test_two_actors_go_on_with_a_build_and_end_with_the_bytes_of_the_local_engine(
    tmp_path: Path, tiny_pair: Path
) -> None:
    """In a process of its own, since what Ray starts there ends with it."""
    corpus = tmp_path / "corpus.jsonl"
    write_jsonl(corpus, [Passage(id=f"p{n}", text="The tide turns. " * (n % 7 + 1)) for n in range(100)])
    command = [sys.executable, __file__, str(tiny_pair), str(corpus), str(tmp_path)]
    patience = {"RAY_worker_niceness": "0"}  # on a machine that is busy, too
    environment = os.environ | patience | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=290)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "resuming: 2 of 7 shards are there" in done.stderr
    for name in ("index.faiss", "passages.arrow"):
        local, on_ray = (tmp_path / engine / "versions/1" / name for engine in ("local", "ray"))
        assert on_ray.read_bytes() == local.read_bytes()


@pytest.mark.bad_input
def test_without_ray_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "index_builder.on_ray", raising=False)
    said = r"needs Ray, which is not installed\. Install it with pip install 'cosup\[ray\]'"
    with pytest.raises(InputError, match=said):
        importlib.import_module("index_builder.on_ray")


def test_ray_is_imported_by_nothing_but_its_own_file() -> None:
    files = (ROOT / "index_builder").rglob("*.py")
    importers = [path.name for path in files if re.search(r"^\s*import ray", path.read_text(), re.MULTILINE)]
    assert importers == ["on_ray.py"]


def test_the_job_for_kubernetes_is_yaml_with_a_command_of_this_project() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ray.md").read_text(), re.DOTALL)
    job = yaml.safe_load(text)
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert job["spec"]["entrypoint"].startswith("cosup index build --engine ray --address auto --pair /data/pair")
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    for group in groups:
        pod = group["template"]["spec"]
        mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}


def main(pair: Path, corpus: Path, folder: Path) -> None:
    """Build on this machine; then again, until two shards are written, and the rest of them on Ray."""
    logging.basicConfig(level=logging.INFO)
    values = {"pair": pair, "corpus": [corpus], "shard_passages": 16, "encoding_threads": 1, "index_type": "flat"}
    build_index(BuildSettings.resolve(values | {"out": folder / "local"}))
    write = Shards.write

    def write_two(self: Shards, number: int, vectors: NDArray[np.float32]) -> None:
        if number == 2:
            raise KeyboardInterrupt
        write(self, number, vectors)

    Shards.write = write_two  # type: ignore[method-assign]
    with suppress(KeyboardInterrupt):
        build_index(BuildSettings.resolve(values | {"out": folder / "ray"}))
    Shards.write = write  # type: ignore[method-assign]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # with one CPU, as Ray would count, it would wait for ever
    build_index(BuildSettings.resolve(values | {"out": folder / "ray", "engine": "ray", "workers": 2}))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
