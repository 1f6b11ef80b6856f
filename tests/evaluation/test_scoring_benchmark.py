"""The benchmark of scoring, at a tiny size."""

import re

import typer
from typer.testing import CliRunner

from benchmarks import scoring


def test_the_scoring_benchmark_measures_every_kind_of_answer() -> None:
    app = typer.Typer()
    app.command()(scoring.main)
    result = CliRunner().invoke(app, ["--smoke"])
    assert result.exit_code == 0, result.output
    rows = re.findall(r"^\| ([a-z][^|]*) \|(?: \d+\.\d \|){3}$", result.stdout, re.MULTILINE)
    assert rows == list(scoring.KINDS)
    assert "20 predictions each; target 20 s" in result.stdout
