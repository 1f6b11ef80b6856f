"""The examples of docs/operate.md are what cron, Kubernetes and the commands take."""

import re
import shlex
from typing import Any, get_args

import yaml
from typer.main import get_command

from cosup.cli import app
from index_builder.stages import StageName
from semiparametric.command import ExitCode
from tests.documents import ROOT, blocks_of, section_of
from tests.test_documents import assert_known

TEXT = (ROOT / "docs" / "operate.md").read_text("utf-8")


def test_the_cron_line_has_a_schedule_a_user_and_commands_that_exist() -> None:
    (line,) = blocks_of(TEXT, "cron")
    *schedule, user, shell = line.split(maxsplit=6)
    assert all(re.fullmatch(r"\*|\d+", field) for field in schedule)
    assert (len(schedule), user) == (5, "cosup")
    assert "%" not in shell  # cron would end the line there
    words = shlex.split(shell, comments=False)
    calls = [at for at, word in enumerate(words) if word.endswith("/bin/cosup")]
    assert len(calls) == 2
    for at in calls:
        arguments = words[at + 1 :]
        ends = [place for place, word in enumerate(arguments) if word in {">>", "2>>", "&&"}]
        assert_known(get_command(app), arguments[: ends[0]] if ends else arguments)


def test_the_cron_job_is_one_that_kubernetes_takes() -> None:
    (block,) = blocks_of(TEXT, "yaml")
    job = yaml.safe_load(block)
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    assert re.fullmatch(r"[a-z0-9-]{1,52}", job["metadata"]["name"])  # its jobs' names are eleven longer
    assert len(job["spec"]["schedule"].split()) == 5
    assert job["spec"]["concurrencyPolicy"] == "Forbid"
    template: dict[str, Any] = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert template["restartPolicy"] == "Never"  # a podFailurePolicy takes no other
    (container,) = template["containers"]
    assert container["command"][0] == "cosup"
    assert_known(get_command(app), container["command"][1:])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in template["volumes"]}


def test_the_cron_job_does_not_try_again_what_must_be_mended() -> None:
    spec = yaml.safe_load(blocks_of(TEXT, "yaml")[0])["spec"]["jobTemplate"]["spec"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["action"] == "FailJob"
    assert rule["onExitCodes"]["values"] == [ExitCode.TO_MEND]
    assert rule["onExitCodes"]["containerName"] == spec["template"]["spec"]["containers"][0]["name"]


def test_every_exit_code_and_every_stage_is_explained() -> None:
    codes = section_of(TEXT, "Exit codes")
    assert all(re.search(rf"^\| {code:d}\b", codes, re.MULTILINE) for code in ExitCode)
    stages = section_of(TEXT, "Logs")
    assert re.findall(r"^\| `(\w+)` \|", stages, re.MULTILINE) == list(get_args(StageName))
