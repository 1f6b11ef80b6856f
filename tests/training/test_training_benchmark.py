"""The benchmark of a training step: both sides compute the same loss, and the figures come out."""

import json

import pytest
import torch
import typer
from typer.testing import CliRunner

from benchmarks import training, training_memory
from benchmarks.training_scene import SMOKE, Mix, models, sequences
from benchmarks.training_sides import SIDES, Work


@pytest.mark.parametrize(("mix", "counted"), training.CASES)
def test_both_sides_have_the_same_loss_and_gradients(mix: Mix, counted: bool) -> None:
    work = Work(*sequences(SMOKE, mix), passage_tokens_in_ntp=counted)
    losses, gradients = [], []
    for side in SIDES.values():
        model = models(SMOKE, attention="eager")
        losses.append(side(model, work)())
        gradients.append(torch.cat([weight.grad.ravel() for weight in model.parameters() if weight.grad is not None]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-4


def test_a_row_compares_rates_operations_and_losses() -> None:
    work = Work(*sequences(SMOKE, "long answers"), passage_tokens_in_ntp=True)
    figures = training.measure("smoke", work, 2)
    assert figures["ours"].gflop < figures["authors"].gflop, "padding and unread logits are work"
    for each, memory in zip(figures.values(), (30.0, 60.0), strict=True):
        each.seconds, each.loaded, each.peak = [2 * memory, memory], 100.0, 100.0 + memory
    row = training.row("long answers", work, figures, rate=100.0)
    assert "| 2.00 (2.00 to 2.00) |" in row
    assert "| 30 / 60 |" in row
    assert f"{figures['ours'].loss:.6f}" in row
    assert row in training.report([row], "smoke", 100.0, "a machine", 2)


@pytest.mark.slow
def test_a_process_of_its_own_tells_the_peak_of_a_step_in_chunks() -> None:
    found = training_memory.peak("--side", "grad-cache", "--size", "smoke", "--rows", "12", "--chunk-rows", "4")
    assert 0 < found["loaded"] <= found["peak"]


def test_the_memory_command_prints_one_object() -> None:
    app = typer.Typer()
    app.command()(training_memory.main)
    result = CliRunner().invoke(app, ["--side", "ours", "--size", "smoke"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output).keys() == {"loaded", "peak"}
