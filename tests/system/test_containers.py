"""The compose file, run for real: the job builds the index, the service answers from it, and takes up a rebuild.

Skipped unless COSUP_COMPOSE_UP names a command that is called as `COMMAND COMPOSE_FILE -- PROGRAM ARGUMENT...`: it
builds the images, brings the services up, waits until they are healthy, runs the program where their ports are on
127.0.0.1, and takes all down. COSUP_WHEELS may name a folder of wheels for docker/wheels.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.documents import ROOT

COMPOSE_UP = os.environ.get("COSUP_COMPOSE_UP")


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(COMPOSE_UP is None, reason="COSUP_COMPOSE_UP names no command that runs a compose file")
def test_the_compose_file_builds_serves_and_takes_up_a_rebuild(tmp_path: Path) -> None:
    compose_file = a_checkout(tmp_path / "cosup") / "docker" / "compose.yaml"
    compose_file.write_text(yaml.safe_dump(without_profiles(yaml.safe_load(compose_file.read_text("utf-8")))), "utf-8")
    asked = subprocess.run(
        [str(COMPOSE_UP), compose_file, "--", sys.executable, "-m", "tests.system.asking_containers", compose_file],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    sys.stdout.write(asked.stdout + asked.stderr)
    assert asked.returncode == 0, asked.stdout + asked.stderr
    assert "A: textwrap.dedent()" in asked.stdout


def a_checkout(folder: Path) -> Path:
    """The tracked files and those that a commit would track, as a clone has them, and wheels."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for wheel in Path(os.environ.get("COSUP_WHEELS") or os.devnull).glob("*.whl"):
        shutil.copy2(wheel, folder / "docker" / "wheels")
    return folder


def without_profiles(compose: dict[str, Any]) -> dict[str, Any]:
    """The services that `docker compose up` starts, with limits that an engine inside a container may set."""
    limits = {"ulimits": {"nofile": {"soft": 1024, "hard": 4096}, "nproc": 4096}}
    services = {name: service | limits for name, service in compose["services"].items() if "profiles" not in service}
    return {"services": services, "volumes": compose["volumes"]}
