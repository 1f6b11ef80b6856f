"""`loss.png`: both losses, in-batch accuracy and held-out recall of a run."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def plot_losses(log: Sequence[dict[str, float]], path: Path) -> None:
    """Draw the log lines of all stages, one after the other, into a PNG file."""
    figure, (losses, shares) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    steps = _running_steps(log)
    curves = sorted({name for line in log for name in line})
    for name in curves:
        if name in {"ntp", "nsp"} or name.endswith("_ntp"):
            _draw(losses, name, log, steps)
        elif name == "accuracy" or "recall" in name:
            _draw(shares, name, log, steps)
    losses.set(title="Losses", xlabel="step", ylabel="nats")
    shares.set(title="Lookups", xlabel="step", ylabel="share", ylim=(0, 1.02))
    for axes in (losses, shares):
        axes.grid(alpha=0.3)
        if axes.get_lines():
            axes.legend(fontsize=8)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _draw(axes: Axes, name: str, log: Sequence[dict[str, float]], steps: Sequence[float]) -> None:
    points = [(step, line[name]) for step, line in zip(steps, log, strict=True) if name in line]
    style = {"marker": "o", "markersize": 3} if name.startswith("eval_") else {"alpha": 0.7}
    axes.plot(*zip(*points, strict=True), label=name.removeprefix("eval_"), **style)


def _running_steps(log: Sequence[dict[str, float]]) -> list[float]:
    """Steps counted through all stages."""
    steps: list[float] = []
    base = last = 0.0
    stage = log[0]["stage"] if log else 0.0
    for line in log:
        if line["stage"] != stage:
            stage, base = line["stage"], last
        last = base + line.get("step", 0.0)
        steps.append(last)
    return steps
