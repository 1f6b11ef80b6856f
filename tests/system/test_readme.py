"""The README keeps its promises: its own commands run, and a newcomer sees an answer soon."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, blocks_of, section_of

README = (ROOT / "README.md").read_text("utf-8")
MARKER = "<!-- first answer -->"
LINES_BEFORE_THE_FIRST_ANSWER = 40

pytestmark = pytest.mark.system


def test_a_real_answer_stands_near_the_top() -> None:
    before, answer = README.split(MARKER)
    assert before.count("\n") < LINES_BEFORE_THE_FIRST_ANSWER
    block = answer.lstrip().split("```")
    assert block[0] == ""
    assert "[1]" in block[1]


def test_make_demo_comes_before_the_first_answer() -> None:
    assert any("make demo" in block for block in blocks_of(README.split(MARKER)[0], "bash"))


def bash(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a script with the commands of the environment of these tests."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=580,
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_for_your_own_documents_run_as_written(tmp_path: Path) -> None:
    if not (ROOT / "models" / "nano" / "pair.json").is_file():
        pytest.skip("models/nano is not in this checkout: `make train-nano` makes it")
    for name in ("models", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    (script,) = blocks_of(section_of(README, "Your own documents"), "bash")
    ran = bash(script, tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "build" / "handbook" / "CURRENT").is_file()
    answer = ran.stdout.splitlines()
    assert any("[1]" in line for line in answer)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_commands_to_train_your_own_run_as_written_but_for_fewer_steps(tmp_path: Path) -> None:
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (script,) = blocks_of(section_of(README, "Train your own"), "bash")
    install, *commands = script.splitlines()
    assert install.startswith("pip install")
    assert commands[-1].startswith("cosup train")
    commands[-1] += " --pretrain.steps 2 --lookups.steps 1 --lookups.batch-size 16 --co-supervision.steps 1"
    commands[-1] += " --held-out-limit 10 --held-out-passages 100"
    ran = bash("\n".join(commands), tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "build" / "first" / "run" / "pair" / "pair.json").is_file()
