"""Rankings as TREC run files and gold as qrels, for the field's own tools."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from evaluation.metrics.ranking import distinct
from evaluation.predictions import Prediction, names_of
from evaluation.questions import Question


def write_qrels(path: Path, questions: Iterable[Question]) -> None:
    """`question 0 name 1` for each passage or page of each evidence set."""
    lines = []
    for question in questions:
        lines += [f"{_word(question.id)} 0 {_word(name)} 1\n" for name in sorted(question.gold_names)]
    path.write_text("".join(lines), "utf-8")


def write_run(path: Path, questions: Mapping[str, Question], predictions: Iterable[Prediction], tag: str) -> None:
    """`question Q0 name rank score tag`; names are pages where the set's evidence names pages, each once.

    The score is one over the rank: trec_eval orders by score alone, and would break ties in an order of its own.
    """
    lines = []
    for prediction in predictions:
        names = distinct(names_of(questions[prediction.id], prediction.found or []))
        lines += [
            f"{_word(prediction.id)} Q0 {_word(name)} {rank} {1 / rank:.6f} {tag}\n"
            for rank, name in enumerate(names, start=1)
        ]
    path.write_text("".join(lines), "utf-8")


def _word(name: str) -> str:
    """White space separates the columns, so it is written as in an address, and so is the percent sign."""
    return "".join(quote(letter) if letter.isspace() or letter == "%" else letter for letter in name)
