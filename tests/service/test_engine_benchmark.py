import re

import typer
from typer.testing import CliRunner

from benchmarks import decoding


def test_the_decoding_benchmark_runs_at_its_smoke_size_with_equal_tokens_on_both_sides() -> None:
    app = typer.Typer()
    app.command()(decoding.main)
    result = CliRunner().invoke(app, ["--smoke", "--threads", "1"])
    assert result.exit_code == 0, result.output
    rows = re.findall(r"^\| (\d) \| .* \| 3 of 3 answers \|$", result.output, re.MULTILINE)
    assert rows == ["1", "4"]
