"""`make` explains itself, and says clearly what is missing before it starts to download."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.documents import ROOT

pytestmark = pytest.mark.system


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    # The tests run under make themselves; its flags and variables are not for the make that is tested.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def fake_python(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
    path.chmod(0o755)
    return path


def test_make_alone_lists_every_task() -> None:
    phony = {line.split()[1] for line in (ROOT / "Makefile").read_text("utf-8").splitlines() if ".PHONY:" in line}
    listed = make().stdout
    assert len(phony) > 5
    assert [task for task in sorted(phony) if f"make {task} " not in listed] == []


def test_a_python_that_is_too_old_is_named_with_the_remedy(tmp_path: Path) -> None:
    old = fake_python(tmp_path / "python", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    made = make("demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert made.returncode == 2
    assert f"needs Python 3.11 or newer, but '{old}' is Python 3.9.2" in made.stderr
    assert "make demo PYTHON=" in made.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_that_does_not_exist_is_named_with_the_remedy(tmp_path: Path) -> None:
    made = make("demo", f"PYTHON={tmp_path / 'nothing'}", f"VENV={tmp_path / 'venv'}")
    assert made.returncode == 2
    assert f"but '{tmp_path / 'nothing'}' is" in made.stderr


def test_a_python_without_ensurepip_is_told_how_to_get_it(tmp_path: Path) -> None:
    bare = fake_python(tmp_path / "python", 'case "$2" in *ensurepip*) exit 1;; esac')
    made = make("demo", f"PYTHON={bare}", f"VENV={tmp_path / 'venv'}")
    assert made.returncode == 2
    assert "its venv or ensurepip module is missing" in made.stderr
    assert "python3-venv" in made.stderr
    assert not (tmp_path / "venv").exists()
