"""The command that kills builds at random moments, on a small scale: `python -m benchmarks.kill_build` does twenty."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from semiparametric.formats import Passage, write_jsonl

ROOT = Path(__file__).parents[2]


@pytest.mark.system
@pytest.mark.timeout(600)
def test_kills_leave_a_whole_version_served_and_resume_to_the_same_bytes(tmp_path: Path, tiny_pair: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    write_jsonl(corpus, [Passage(id=f"p{n}", text=f"The keeper notes the weather of day {n}.") for n in range(24)])
    options = ["--pair", str(tiny_pair), "--corpus", str(corpus), "--kills", "2", "--seed", "3"]
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.kill_build", *options],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for what in ("build", "rebuild"):
        assert f"{what}: 2 of 2 kills left a whole version served and resumed to the same bytes" in ran.stdout
