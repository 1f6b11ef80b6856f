"""When to stay silent: how well the best score of a lookup tells questions without an answer from those with one.

`min_score` of the service withdraws a lookup whose best score is lower. Each value of it leaves some questions
unanswered; of these, precision is the share that have no answer, recall the share of those without an answer.
"""

import math
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from evaluation.predictions import Prediction
from evaluation.questions import Question


class Point(BaseModel):
    """What one `min_score` does."""

    model_config = ConfigDict(frozen=True)

    min_score: float
    precision: float = Field(description="Of the questions left unanswered, the share without an answer.")
    recall: float = Field(description="Of the questions without an answer, the share left unanswered.")
    answered: float = Field(description="Of the questions with an answer, the share that is still answered.")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


class Abstention(BaseModel):
    """The curve over `min_score`, ascending, and its summary.

    average_precision: mean precision over the questions without an answer, each at its own score; chance gives `share`.
    share: of all questions, those without an answer.
    """

    model_config = ConfigDict(frozen=True)

    average_precision: float
    share: float
    points: list[Point]


def abstention(questions: Sequence[Question], predictions: Sequence[Prediction]) -> Abstention | None:
    """The curve of one system; None where it made no ranking, or where all questions, or none, have an answer."""
    scored = [
        (prediction.found[0].score, not question.is_answerable)
        for question, prediction in zip(questions, predictions, strict=True)
        if prediction.found
    ]
    num_silent = sum(silent for _, silent in scored)
    if num_silent in (0, len(scored)):
        return None
    points = _points(sorted(scored), num_silent)
    gained, average = 0.0, 0.0
    for point in points:
        average += (point.recall - gained) * point.precision
        gained = point.recall
    return Abstention(average_precision=average, share=num_silent / len(scored), points=points)


def _points(ascending: Sequence[tuple[float, bool]], num_silent: int) -> list[Point]:
    """One point for each distinct score: what is left unanswered where `min_score` is just above it."""
    points = []
    hits = 0
    for place, (score, silent) in enumerate(ascending, start=1):
        hits += silent
        if place < len(ascending) and ascending[place][0] == score:
            continue
        above = ascending[place][0] if place < len(ascending) else math.inf
        points.append(
            Point(
                min_score=(score + above) / 2 if math.isfinite(above) else math.nextafter(score, above),
                precision=hits / place,
                recall=hits / num_silent,
                answered=1 - (place - hits) / (len(ascending) - num_silent),
            )
        )
    return points
