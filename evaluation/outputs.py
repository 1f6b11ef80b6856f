"""What an evaluation leaves in its folder: report, scores, TREC files, plots and the page to browse."""

import json
import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from evaluation.abstention import abstention
from evaluation.compare import SCORES
from evaluation.intervals import mean_intervals
from evaluation.made_with import made_with
from evaluation.page import write_page
from evaluation.report import EvalReport, Figure, SetReport, SystemReport, markdown
from evaluation.run import Evaluated
from evaluation.settings import EvalSettings
from evaluation.slices import slice_of
from evaluation.trec import write_qrels, write_run
from semiparametric.replacing import write_whole

logger = logging.getLogger(__name__)

REPORT = "report.json"


def write_outputs(sets: Mapping[str, Evaluated], settings: EvalSettings) -> EvalReport:
    """Write all of it into `out` and return the report."""
    report = make_report(sets, settings)
    out = settings.out
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / REPORT, report.model_dump_json(indent=1) + "\n")
    write_whole(out / SCORES, "".join(_score_lines(sets)))
    _write_trec(sets, out / "trec")
    write_page(out / "index.html", report, sets)
    write_whole(out / "report.md", markdown(report, _plots(report, out)))
    return report


def make_report(sets: Mapping[str, Evaluated], settings: EvalSettings) -> EvalReport:
    """The figures of all sets and systems, with their intervals."""
    return EvalReport(
        title=settings.title,
        asked=str(settings.pair or settings.url or "predictions made elsewhere"),
        judge=settings.judge,
        sets={name: _set_report(one, settings) for name, one in sets.items()},
        settings=settings.model_dump(mode="json"),
        made_with=made_with(),
    )


def _set_report(one: Evaluated, settings: EvalSettings) -> SetReport:
    return SetReport(
        format=one.settings.format,
        questions=len(one.questions),
        unanswerable=sum(not question.is_answerable for question in one.questions),
        shown=one.shown,
        systems={system: _system_report(one, system, settings.resamples) for system in one.asked if one.asked[system]},
        published=one.settings.published,
        published_source=one.settings.published_source,
    )


def _system_report(one: Evaluated, system: str, resamples: int) -> SystemReport:
    questions, predictions, scores = one.asked[system], one.predictions[system], one.scores[system]
    intervals = mean_intervals(scores, resamples)
    slices = Counter(map(slice_of, questions, predictions, scores))
    return SystemReport(
        asked=len(questions),
        refused=sum(prediction.refusal is not None for prediction in predictions),
        figures={name: Figure(**asdict(found)) for name, found in intervals.items()},
        slices=dict(sorted(slices.items())),
        seconds=round(fmean(prediction.seconds for prediction in predictions), 4),
        abstention=abstention(questions, predictions),
    )


def _score_lines(sets: Mapping[str, Evaluated]) -> list[str]:
    lines = []
    for name, one in sets.items():
        for system, questions in one.asked.items():
            for question, prediction, scores in zip(
                questions, one.predictions[system], one.scores[system], strict=True
            ):
                told: dict[str, Any] = {"dataset": name, "system": system, "id": question.id}
                told |= {"slice": slice_of(question, prediction, scores), "scores": scores}
                lines.append(json.dumps(told, ensure_ascii=False) + "\n")
    return lines


def _write_trec(sets: Mapping[str, Evaluated], folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name, one in sets.items():
        if not any(question.evidence for question in one.questions):
            continue
        write_qrels(folder / f"{name}.qrels", one.questions)
        known = {question.id: question for question in one.questions}
        for system, predictions in one.predictions.items():
            if any(prediction.found for prediction in predictions):
                write_run(folder / f"{name}.{system}.run", known, predictions, system)


def _plots(report: EvalReport, folder: Path) -> list[str]:
    if find_spec("matplotlib") is None:
        logger.warning("no plots: matplotlib is not installed (pip install 'cosup[eval]')")
        return []
    from evaluation.charts import draw_charts

    return draw_charts(report, folder)
