"""The benchmark of the service runs at its smoke size."""

import re

import pytest
from typer.testing import CliRunner

from benchmarks.service import app

pytestmark = [pytest.mark.system, pytest.mark.slow]


def table_of(command: str) -> str:
    result = CliRunner().invoke(app, [command, "--smoke"])
    assert result.exit_code == 0, result.output
    return result.output


def test_http_and_the_engine_in_process_give_the_same_answers() -> None:
    rows = re.findall(r"^\| (.*?) \|.*\| (\d+) of (\d+) \|$", table_of("http"), re.MULTILINE)
    assert [name for name, _, _ in rows] == ["in process", "HTTP", "HTTP, streamed"]
    assert all(same == asked for _, same, asked in rows)


def test_a_load_ends_with_nothing_failed_and_nothing_mixed() -> None:
    shown = table_of("load")
    assert "| failed requests | 0 |" in shown
    assert "| answers that mix versions | 0 |" in shown


def test_clients_that_vanished_are_counted_as_ended() -> None:
    assert "| requests that the service counts as ended | 16 of 16 |" in table_of("hangups")
