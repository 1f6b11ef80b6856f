"""The page on which a person browses answers with their passages side by side: one HTML file that needs no other."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from evaluation.predictions import Prediction
from evaluation.questions import Question
from evaluation.report import EvalReport
from evaluation.run import Evaluated
from evaluation.scoring import Scores
from evaluation.slices import slice_of
from semiparametric.replacing import write_whole

_MOST_QUESTIONS = 2000
_PLACE = "__EVALUATION__"


def write_page(path: Path, report: EvalReport, sets: Mapping[str, Evaluated]) -> None:
    """Write the page: of each set at most the first 2,000 questions, which a browser still opens at once."""
    passages: dict[str, list[str]] = {}
    told = {
        "title": report.title,
        "asked": report.asked,
        "judge": report.judge,
        "sets": [_set(name, one, passages) for name, one in sets.items()],
        "passages": passages,
    }
    page = files("evaluation").joinpath("page.html").read_text("utf-8")
    write_whole(path, page.replace(_PLACE, _as_script(told)))


def _as_script(told: Any) -> str:
    """JSON that ends no script element, whatever stands in it."""
    said = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return said.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _set(name: str, one: Evaluated, passages: dict[str, list[str]]) -> dict[str, Any]:
    by_system = {
        system: {
            question.id: _answer(question, prediction, scores, one.shown, passages)
            for question, prediction, scores in zip(
                questions[:_MOST_QUESTIONS], one.predictions[system], one.scores[system], strict=False
            )
        }
        for system, questions in one.asked.items()
        if questions
    }
    questions = []
    for question in one.questions[:_MOST_QUESTIONS]:
        by = {system: answers[question.id] for system, answers in by_system.items() if question.id in answers}
        questions.append(_question(question) | {"by": by})
    return {
        "name": name,
        "total": len(one.questions),
        "systems": list(by_system),
        "figures": one.shown,
        "questions": questions,
    }


def _question(question: Question) -> dict[str, Any]:
    wanted = list(question.references)
    wanted += [" / ".join(aliases) for aliases in (*question.parts, *question.listed)]
    gold = sorted(question.gold_names.union(question.gold_passages))
    return {
        "id": question.id,
        "text": question.text,
        "task": question.task,
        "wanted": wanted + list(question.claims),
        "gold": gold,
    }


def _answer(
    question: Question, prediction: Prediction, scores: Scores, shown: list[str], passages: dict[str, list[str]]
) -> dict[str, Any]:
    for one in prediction.passages:
        passages.setdefault(one.id, [one.title, one.text, one.page or ""])
    return {
        "slice": slice_of(question, prediction, scores),
        "answer": prediction.answer,
        "refusal": prediction.refusal,
        "citations": [[one.start, one.end, one.passage_id] for one in prediction.citations],
        "read": [one.id for one in prediction.passages],
        "found": [one.id for one in (prediction.found or [])[:5]],
        "scores": {name: round(scores[name], 3) for name in shown if name in scores},
    }
