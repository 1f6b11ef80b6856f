"""The example of docs/kubernetes.md fits together: commands, probes, volumes, selectors and times."""

from collections.abc import Iterator
from typing import Any

import yaml
from typer.main import get_command

from cosup.cli import app
from service.routes import health
from service.settings import ServeSettings
from tests.documents import ROOT, blocks_of
from tests.test_documents import assert_known

TEXT = (ROOT / "docs" / "kubernetes.md").read_text("utf-8")
OBJECTS: list[dict[str, Any]] = [part for block in blocks_of(TEXT, "yaml") for part in yaml.safe_load_all(block)]


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [thing for thing in OBJECTS if thing["kind"] == kind]


def pods() -> Iterator[dict[str, Any]]:
    return (thing["spec"]["template"]["spec"] for thing in OBJECTS if thing["kind"] in {"Job", "Deployment"})


def serving() -> dict[str, Any]:
    (deployment,) = of_kind("Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {**container, "grace": deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]}


def test_every_object_is_of_a_kind_and_version_that_kubernetes_has() -> None:
    assert {(thing["apiVersion"], thing["kind"]) for thing in OBJECTS} == {
        ("v1", "PersistentVolumeClaim"),
        ("batch/v1", "Job"),
        ("apps/v1", "Deployment"),
        ("v1", "Service"),
        ("policy/v1", "PodDisruptionBudget"),
    }


def test_the_commands_of_its_containers_exist() -> None:
    for pod in pods():
        (container,) = pod["containers"]
        program, *arguments = container["command"]
        assert program == "cosup"
        assert_known(get_command(app), arguments)


def test_what_is_mounted_is_a_volume_and_what_it_claims_is_claimed() -> None:
    claimed = {claim["metadata"]["name"] for claim in of_kind("PersistentVolumeClaim")}
    for pod in pods():
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        claims = [volume["persistentVolumeClaim"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
        assert {claim["claimName"] for claim in claims} <= claimed


def test_nothing_runs_as_root() -> None:
    assert all(pod["securityContext"]["runAsNonRoot"] for pod in pods())


def test_the_service_and_its_budget_select_the_pods_of_the_deployment() -> None:
    (deployment,) = of_kind("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    (service,), (budget,) = of_kind("Service"), of_kind("PodDisruptionBudget")
    assert labels == deployment["spec"]["selector"]["matchLabels"]
    assert labels == service["spec"]["selector"] == budget["spec"]["selector"]["matchLabels"]
    assert service["spec"]["ports"][0]["targetPort"] in {port["name"] for port in serving()["ports"]}


def test_the_probes_ask_for_paths_that_the_service_has() -> None:
    paths = {route.path for route in health.router.routes if hasattr(route, "path")}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert serving()[probe]["httpGet"]["path"] in paths
        assert serving()[probe]["httpGet"]["port"] in {port["name"] for port in serving()["ports"]}
    assert ServeSettings.model_fields["port"].default == serving()["ports"][0]["containerPort"]


def test_answers_have_time_to_end_before_the_pod_is_killed() -> None:
    command = serving()["command"]
    notice_s, drain_s = (int(command[command.index(option) + 1]) for option in ("--notice-s", "--drain-s"))
    probe = serving()["readinessProbe"]
    assert notice_s > probe["periodSeconds"] * probe["failureThreshold"]
    assert serving()["grace"] > notice_s + drain_s + 2  # seconds that the service itself takes on top
