"""The compose files and the images name what exists, and ask for no more rights than they need."""

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.main import get_command

from cosup.cli import app
from tests.documents import ROOT
from tests.test_documents import assert_known

DOCKER = ROOT / "docker"
IMAGES = {"Dockerfile": "requirements.txt", "Dockerfile.gpu": "requirements-gpu.txt"}
EXTRAS = {
    "Dockerfile": {"cpu", "mcp", "milvus", "otel"},
    "Dockerfile.gpu": {"gpu", "vllm", "mcp", "milvus", "otel"},
}
each_image = pytest.mark.parametrize("name", IMAGES)


def composed(name: str = "compose.yaml") -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((DOCKER / name).read_text("utf-8"))["services"]
    return services


def own_services() -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, service) for name, service in composed().items() if "build" in service)


def test_compose_finds_its_file_from_the_root() -> None:
    settings = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env").read_text("utf-8"), re.MULTILINE))
    assert (ROOT / settings["COMPOSE_FILE"]).is_file()
    commented = re.findall(r"^#COMPOSE_FILE=(.*)$", (ROOT / ".env").read_text("utf-8"), re.MULTILINE)
    assert all((ROOT / path).is_file() for line in commented for path in line.split(":"))


def test_every_file_that_is_built_from_or_mounted_exists() -> None:
    for service in composed().values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            assert not source.startswith(".") or (DOCKER / source).exists(), source
    for _, service in own_services():
        assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()


def test_the_commands_of_the_services_exist() -> None:
    serving = [service["command"] for _, service in own_services() if service["command"][0] == "serve"]
    assert len(serving) == 2
    for command in serving:
        assert_known(get_command(app), list(command))


def test_the_service_starts_only_after_the_job_has_ended_well() -> None:
    for name in ("cosup", "cosup-gpu"):
        assert composed()[name]["depends_on"] == {"index-builder": {"condition": "service_completed_successfully"}}


def test_our_containers_have_no_capability_and_a_root_that_is_read_only() -> None:
    services = dict(own_services())
    assert services.keys() == {"index-builder", "cosup", "cosup-gpu", "index-builder-gpu"}
    for service in services.values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert not service.get("privileged")


def test_services_read_indexes_and_only_jobs_write_them() -> None:
    assert composed()["cosup"]["volumes"] == composed()["cosup-gpu"]["volumes"] == ["indexes:/srv/indexes:ro"]
    assert "indexes:/srv/indexes" in composed()["index-builder"]["volumes"]


def test_prometheus_and_grafana_listen_on_this_machine_alone() -> None:
    for name in ("prometheus", "grafana"):
        assert all(port.startswith("127.0.0.1:") for port in composed()[name]["ports"])


def test_prometheus_scrapes_the_services_of_the_compose_file() -> None:
    (job,) = yaml.safe_load((DOCKER / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert set(found["names"]) == {"cosup", "cosup-gpu"} <= composed().keys()


def test_more_files_change_services_that_exist() -> None:
    for name in ("compose.documents.yaml", "compose.keys.yaml"):
        assert composed(name).keys() <= composed().keys()


@each_image
def test_an_image_is_made_in_two_stages_and_runs_as_nobody_in_particular(name: str) -> None:
    text = (DOCKER / name).read_text("utf-8")
    build, run = re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]
    assert "pip install" in build
    assert "pip" not in re.sub(r"#.*", "", run)
    assert re.findall(r"^USER (\S+)$", run, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in run


@each_image
def test_everything_that_an_image_copies_is_there_and_let_into_its_context(name: str) -> None:
    text = (DOCKER / name).read_text("utf-8")
    ignored = (ROOT / ".dockerignore").read_text("utf-8")
    let_in = re.findall(r"^!(\S+)$", ignored, re.MULTILINE)
    copies = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from).*$", text, re.MULTILINE)]
    for source in {word for words in copies for word in words}:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, pattern) for pattern in let_in), source


@each_image
def test_an_image_holds_the_versions_that_the_project_asks_for(name: str) -> None:
    locked = dict(line.split("==") for line in (DOCKER / IMAGES[name]).read_text("utf-8").split() if "==" in line)
    versions = {canonicalize_name(package): version for package, version in locked.items()}
    for wanted in direct_requirements(EXTRAS[name]):
        package = canonicalize_name(wanted.name)
        assert package in versions, f"{wanted} is not locked"
        assert wanted.specifier.contains(versions[package]), f"{wanted}, but {versions[package]} is locked"


def direct_requirements(extras: set[str]) -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    lines = project["project"]["dependencies"] + project["build-system"]["requires"]
    lines += [line for extra in sorted(extras) for line in project["project"]["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines]


@each_image
def test_hadolint_finds_nothing_in_an_image(name: str) -> None:
    checked = subprocess.run([tool("hadolint"), DOCKER / name], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_shellcheck_finds_nothing_in_the_job() -> None:
    checked = subprocess.run([tool("shellcheck"), DOCKER / "index-job"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def tool(name: str) -> str:
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found is not None, f"{name} is not installed; it comes with the extra dev"
    return found
