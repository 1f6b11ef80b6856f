"""A rebuild of a corpus of which one passage in a hundred changed, beside the full build: seconds of encoding."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from index_builder.build import build_index
from index_builder.rebuild import rebuild_index
from index_builder.settings import BuildSettings, RebuildSettings
from index_builder.stages import StageReport, Stages
from semiparametric.formats import Passage, read_passages, write_jsonl

SHARE = 0.01


@dataclass(frozen=True)
class Rebuilds:
    """Seconds of the stage `encode`, as its reports have them."""

    passages: int
    changed: int
    full: float
    rebuilds: list[float]

    @property
    def shares(self) -> list[float]:
        """Of each rebuild in the full build's."""
        return [seconds / self.full for seconds in self.rebuilds]


def measure_rebuilds(pair: Path, corpus: Path, folder: Path, *, rounds: int, threads: int) -> Rebuilds:
    """Build the corpus once, then change other passages and rebuild, some times."""
    passages, copy = list(read_passages(corpus)), folder / "corpus.jsonl"
    changed = max(1, round(SHARE * len(passages)))
    write_jsonl(copy, passages)
    build_settings = BuildSettings(
        pair=pair, corpus=[copy], out=folder / "rebuilt", index_type="flat", device="cpu", encoding_threads=threads
    )
    full = _encoding(lambda stages: build_index(build_settings, stages))
    chosen = random.Random(0).sample(range(len(passages)), rounds * changed)
    rebuilds = []
    for turn in range(rounds):
        for row in chosen[turn * changed : (turn + 1) * changed]:
            passages[row] = _edited(passages[row])
        write_jsonl(copy, passages)
        rebuilds.append(_encoding(lambda stages: rebuild_index(RebuildSettings(index=folder / "rebuilt"), stages)))
        if rebuilds[-1].figures["passages"] != changed:
            raise RuntimeError(f"{rebuilds[-1].figures['passages']} passages were encoded, {changed} had changed")
    return Rebuilds(len(passages), changed, full.seconds, [report.seconds for report in rebuilds])


def _edited(passage: Passage) -> Passage:
    return passage.model_copy(update={"text": f"Edited. {passage.text}"})


def _encoding(run: Callable[[Stages], object]) -> StageReport:
    """The report of a run's stage `encode`."""
    reports: list[StageReport] = []
    run(Stages(reports.append))
    return next(report for report in reports if report.stage == "encode")
