"""A build that is killed at any moment leaves the served version whole, and ends as if nothing had been."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from index_builder.build import build_index
from index_builder.settings import BuildSettings
from semiparametric.formats import Passage, write_jsonl
from semiparametric.store import Store, current_version

SCRIPT = Path(__file__).with_name("killed_build.py")
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("index_type", ["hnsw"])
@pytest.mark.system
def test_a_build_killed_at_any_file_operation_resumes_to_the_same_bytes(
    tmp_path: Path, tiny_pair: Path, index_type: str
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    write_jsonl(corpus, [Passage(id=str(n), text="Lamp. " * n, metadata={"n": n}) for n in range(1, 31)])
    served = BuildSettings(pair=tiny_pair, corpus=ROOT / "examples" / "handbook", out=tmp_path / "served")
    build_index(served)
    run = subprocess.run(
        [sys.executable, str(SCRIPT), str(tiny_pair), str(corpus), str(tmp_path), index_type],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert run.returncode == 0, run.stderr
    *kills, undisturbed = [json.loads(line) for line in run.stdout.splitlines()]
    before = kills[0]["killed"]
    assert undisturbed["ended"]
    assert len(kills) > 40
    assert before["passages.arrow"] != undisturbed["resumed"]["passages.arrow"]
    for kill in kills:
        if kill["killed"] == before:
            assert kill["resumed"] == undisturbed["resumed"]
        else:  # killed after the publication
            assert kill["killed"] == undisturbed["resumed"]
    assert sum(kill["killed"] != before for kill in kills) <= 3


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.system
def test_a_command_killed_while_it_encodes_resumes_from_its_shards(tmp_path: Path, tiny_pair: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    write_jsonl(corpus, [Passage(id=str(n), text=f"The keeper notes the weather of day {n}. ") for n in range(2000)])
    index = tmp_path / "index"
    options = ["--pair", str(tiny_pair), "--corpus", str(corpus), "--shard-passages", "100"]
    command = [sys.executable, "-c", "from index_builder.cli import index_app; index_app()", "build", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    killed = subprocess.Popen([*command, "--out", str(index)], env=environment, stderr=subprocess.DEVNULL)
    shards = index / "versions/1.partial/shards"
    deadline = time.monotonic() + 240
    while len(list(shards.glob("*.npy"))) < 3:
        assert killed.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert current_version(index) is None

    resumed = subprocess.run(
        [*command, "--out", str(index)], env=environment, capture_output=True, text=True, timeout=200
    )
    assert resumed.returncode == 0, resumed.stderr
    assert re.search(r"resuming: \d+ of 20 shards are there", resumed.stderr)
    subprocess.run([*command, "--out", str(tmp_path / "undisturbed")], env=environment, check=True, capture_output=True)
    for name in ("index.faiss", "passages.arrow"):
        bytes_resumed = (index / "versions/1" / name).read_bytes()
        assert bytes_resumed == (tmp_path / "undisturbed/versions/1" / name).read_bytes()


def test_a_build_killed_between_sealing_and_publishing_is_only_published(tmp_path: Path, tiny_pair: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    write_jsonl(corpus, [Passage(id=str(n), text="Lamp.") for n in range(10)])
    settings = BuildSettings(pair=tiny_pair, corpus=corpus, out=tmp_path / "index")
    build_index(settings)
    first = (tmp_path / "index/versions/1/manifest.json").read_bytes()
    (tmp_path / "index/CURRENT").unlink()  # as it is in that moment
    assert build_index(settings).version == 1
    assert (tmp_path / "index/versions/1/manifest.json").read_bytes() == first
    assert sorted(path.name for path in (tmp_path / "index/versions").iterdir()) == ["1"]
    (tmp_path / "index/CURRENT").unlink()
    write_jsonl(corpus, [Passage(id=str(n), text="Wick.") for n in range(10)])
    assert build_index(settings).version == 2
    with Store.open(tmp_path / "index") as store:
        assert store.passage(0).text == "Wick."
