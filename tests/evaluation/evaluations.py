"""Whole evaluations of a tiny pair, with the real engine, store and index builder."""

from pathlib import Path
from typing import Any

from evaluation.outputs import write_outputs
from evaluation.report import EvalReport
from evaluation.run import Watching, evaluate
from evaluation.settings import EvalSettings
from index_builder.build import build_index
from index_builder.settings import BuildSettings


def settings_of(out: Path, **given: Any) -> EvalSettings:
    """Settings for tests: few tokens, few bootstrap samples."""
    few = {"decoding": {"retrieval": "first", "max_retrievals": 2, "max_new_tokens": 6}, "resamples": 100, "top_k": 4}
    return EvalSettings.resolve({"out": out, **few, **given})


def build(pair: Path, corpus: Path, index: Path, device: str) -> None:
    build_index(BuildSettings.resolve({"pair": pair, "corpus": [corpus], "out": index, "device": device}))


class Counted:
    """How many questions were to be asked, how many of them were known, and how many were answered now."""

    def __init__(self) -> None:
        self.total = self.known = self.answered = 0
        self.watching = Watching(self._plan, self._answer)

    def _plan(self, total: int, known: int) -> None:
        self.total, self.known = total, known

    def _answer(self) -> None:
        self.answered += 1


def run(settings: EvalSettings, counted: Counted | None = None) -> EvalReport:
    """Evaluate and write everything."""
    sets = evaluate(settings, build_index=build, watching=(counted or Counted()).watching)
    return write_outputs(sets, settings)
