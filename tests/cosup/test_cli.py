"""The command itself, without one of its commands."""

from importlib.metadata import version

from typer.testing import CliRunner

from cosup.cli import app


def test_the_version_is_the_installed_one() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"cosup {version('cosup')}\n"
