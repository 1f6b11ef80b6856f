"""The commands of an index as an operator meets them: what they print, and how they end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from index_builder.cli import index_app
from semiparametric.formats import Passage, write_jsonl
from semiparametric.store.lock import build_lock
from tests.index_builder.test_rebuild import passages

ROOT = Path(__file__).parents[2]


def cosup_index(*words: object) -> Result:
    return CliRunner().invoke(index_app, [str(word) for word in words])


def done(*words: object) -> str:
    """What a command that ends well prints."""
    result = cosup_index(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_life_of_an_index(tmp_path: Path, tiny_pair: Path) -> None:
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    write_jsonl(corpus, passages(20))
    build = ["build", "--pair", tiny_pair, "--corpus", corpus, "--out", index]
    assert done(*build, "--dry-run") == (
        f"{index}: would publish version 1: 20 passages, 20 to encode, index type flat. Nothing was written\n"
    )
    assert not index.exists()
    assert "version 1 of 'index' is served, 20 passages, recall@10 1.000 (flat)" in done(*build)
    assert done("rebuild", index) == (
        f"{index}: nothing has changed (0 added, 0 changed, 0 removed, 20 reused, 0 encoded); version 1 stays served\n"
    )
    more = tmp_path / "more.jsonl"
    write_jsonl(more, [Passage(id="new", text="The eel pass opens."), Passage(id="p1", text="The lamp was out.")])
    said = f"{index}: version 2 is served, 21 passages: 1 added, 1 replaced, 0 unchanged, 2 encoded\n"
    assert done("upsert", index, "--corpus", more) == said
    assert done("delete", index, "--id", "p2") == f"{index}: version 3 is served, 20 passages: 1 deleted\n"
    assert "passages     20, 2 upserted and 1 deleted since the build\n" in done("info", index)
    write_jsonl(corpus, passages(22))
    said = f"{index}: version 4 is served, 22 passages: 2 added, 0 changed, 0 removed, 20 reused, 2 encoded\n"
    assert done("rebuild", index) == said
    assert done("rollback", index) == f"{index}: version 3 is served, before it was 4\n"
    assert done("rollback", index, "--version", 4) == f"{index}: version 4 is served, before it was 3\n"
    lines = done("list", index).splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["1", "20", "0", "flat"],
        ["2", "21", "1", "flat"],
        ["3", "20", "2", "flat"],
        ["4", "22", "0", "flat"],
    ]
    assert [line.split("  ")[-1] for line in lines[2:]] == ["extends 1", "extends 2", "served"]
    assert done("gc", index, "--keep", 2) == f"{index}: removed 1, 2; there are 3, 4\n"
    assert [one["version"] for one in json.loads(done("list", index, "--json"))] == [3, 4]
    assert done("verify", index) == f"{index}: version 4 is whole, 22 passages, all checksums match\n"


def test_a_report_as_json_is_one_line_for_each_stage(tmp_path: Path, tiny_pair: Path) -> None:
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    write_jsonl(corpus, passages(20))
    built = done("build", "--pair", tiny_pair, "--corpus", corpus, "--out", index, "--report", "json")
    lines = [json.loads(line) for line in built.splitlines()]
    assert [line["stage"] for line in lines] == ["read", "encode", "index", "verify", "publish"]
    assert all(line["seconds"] >= 0 and line["passages"] == 20 for line in lines)
    assert {"passages_per_second", "tokens_per_second", "padding_share", "resumed"} <= lines[1].keys()
    assert (lines[2]["index_type"], lines[2]["recall_at_10"], lines[4]["version"]) == ("flat", 1.0, 1)

    unchanged = done("rebuild", index, "--report", "json")
    (line,) = [json.loads(line) for line in unchanged.splitlines()]
    assert (line["stage"], line["added"], line["changed"], line["removed"], line["reused"]) == ("read", 0, 0, 0, 20)
    planned = json.loads(done("delete", index, "--id", "p2", "--dry-run", "--report", "json"))
    assert planned == {
        "dry_run": True,
        "index": str(index),
        "version": 2,
        "passages": 19,
        "to_encode": 0,
        "index_type": "flat",
        "counts": {"deleted": 1},
    }


@pytest.mark.bad_input
def test_while_a_build_is_at_work_every_writing_command_ends_with_code_3(tmp_path: Path, tiny_pair: Path) -> None:
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    write_jsonl(corpus, passages(5))
    build = ["build", "--pair", tiny_pair, "--corpus", corpus, "--out", index]
    done(*build)
    upsert, delete = ["upsert", index, "--corpus", corpus], ["delete", index, "--id", "p1"]
    writing = [build, ["rebuild", index], upsert, delete, ["rollback", index], ["gc", index], ["tune", index]]
    planning = [[*words, "--dry-run"] for words in writing[:4]]
    with build_lock(index):
        for words in [*writing, *planning]:
            refused = cosup_index(*words)
            assert refused.exit_code == 3, words
            said = rf"Error: {index}: another build is writing this index: process {os.getpid()} on .*, since 20"
            assert re.match(said, refused.stderr.splitlines()[-1])
        done("verify", index)
        done("list", index)
    done("rebuild", index)


@pytest.mark.bad_input
def test_a_stage_that_fails_is_a_line_of_the_report_and_code_2(tmp_path: Path, tiny_pair: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "a", "text": "One."}\n{"id": "b"}\n')
    failed = cosup_index(
        "build", "--pair", tiny_pair, "--corpus", corpus, "--out", tmp_path / "index", "--report", "json"
    )
    assert failed.exit_code == 2
    (line,) = [json.loads(line) for line in failed.stdout.splitlines()]
    assert (line["stage"], line["error"]) == ("read", f"{corpus}, line 2, field text: Field required")


@pytest.mark.system
@pytest.mark.timeout(600)
def test_an_interrupted_build_ends_with_code_130_and_resumes(tmp_path: Path, tiny_pair: Path) -> None:
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    write_jsonl(corpus, [Passage(id=str(n), text=f"The keeper notes the weather of day {n}. ") for n in range(4000)])
    code = "from index_builder.cli import index_app; index_app()"
    options = ["--pair", str(tiny_pair), "--corpus", str(corpus), "--out", str(index), "--shard-passages", "50"]
    command = [sys.executable, "-c", code, "build", *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}

    def heed_sigint() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job would ignore it, and so would its children

    interrupted = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, preexec_fn=heed_sigint)
    shards = index / "versions/1.partial/shards"
    deadline = time.monotonic() + 240
    while len(list(shards.glob("*.npy"))) < 3:
        assert interrupted.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    interrupted.send_signal(signal.SIGINT)
    _, said = interrupted.communicate(timeout=60)
    assert (interrupted.returncode, said.splitlines()[-1]) == (130, "Interrupted.")
    resumed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert resumed.returncode == 0, resumed.stderr
    assert re.search(r"resuming: \d+ of 80 shards are there", resumed.stderr)
