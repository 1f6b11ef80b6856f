"""A committed table of predictions and the figures that were derived by hand (worked/README.md)."""

import json
from fractions import Fraction
from pathlib import Path

import pytest

from evaluation.datasets import read_questions
from evaluation.judge import LexicalJudge
from evaluation.run import Evaluated, score_set
from evaluation.settings import DatasetSettings
from evaluation.submissions import read_submission

WORKED = Path(__file__).parent / "worked"
EXPECTED: dict[str, dict[str, str]] = json.loads((WORKED / "expected.json").read_text("utf-8"))


def scored() -> dict[str, dict[str, float]]:
    settings = DatasetSettings(format="kilt", file=WORKED / "gold.jsonl", metrics=["rouge_l"])
    one = Evaluated(settings, read_questions("worked", settings))
    one.asked["guess"] = one.questions
    one.predictions["guess"] = read_submission(WORKED / "guess.jsonl", "worked", "guess", one.questions)
    score_set(one, LexicalJudge())
    return {question.id: scores for question, scores in zip(one.questions, one.scores["guess"], strict=True)}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_prediction_has_the_figures_derived_by_hand(name: str) -> None:
    found = scored()[name]
    for figure, value in EXPECTED[name].items():
        assert found[figure] == pytest.approx(float(Fraction(value)), abs=1e-7), figure
