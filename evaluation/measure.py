"""A pair on a question set, as `cosup experiment` reports it: look up, answer the first ones, count."""

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

from evaluation.bm25 import Bm25
from evaluation.predictions import Found, Prediction, prediction_of
from evaluation.questions import Question, question_of
from evaluation.results import SetFigures
from evaluation.scoring import Rules, Scores, score
from semiparametric.formats import Example, Passage
from service.local import Ask, ModelSettings, Reply, answer_all

NUM_FOUND = 5
"""Passages that a lookup reports; recall is given at 1 and at this number."""

_LOOKUP_FIELDS = {"recall_at_1": "success@1", "recall_at_5": "success@5"}
_ANSWER_FIELDS = {
    "exact_match": "em",
    "f1": "f1",
    "right": "right",
    "grounded": "grounded",
    "cites_gold": "cites_gold",
    "right_on_wrong_lookup": "right_lookup_wrong",
}


def asked(examples: Iterable[Example], limit: int | None, not_answers: Iterable[str] = ()) -> list[Question]:
    """A fixed random sample of the examples that cite a passage, at most `limit` of them, as questions.

    Args:
        examples: Of one set.
        limit: None takes all.
        not_answers: See `question_of`.
    """
    placeholders = list(not_answers)
    cited = [question_of(example, placeholders) for example in examples if example.cited]
    random.Random(0).shuffle(cited)  # noqa: S311 - a sample, not a secret
    return cited[:limit]


def measure_pair(
    model: ModelSettings,
    questions: Sequence[Question],
    decoding: Ask,
    *,
    num_answered: int | None = None,
    right_f1: float | None = None,
    predictions: Path | None = None,
    on_reply: Callable[[], None] | None = None,
) -> SetFigures:
    """Ask a pair all questions and count.

    Args:
        model: The pair, and the index of the set's corpus, built with it.
        questions: Each with the passages that it cites (`asked`).
        decoding: How they are asked; its own question does not matter.
        num_answered: Questions that are answered too, the first ones; None answers all. With 0 the figures of answers
            are None.
        right_f1: See `scoring.Rules`.
        predictions: File for one JSON line for each question: what was found and said, and its figures.
        on_reply: Called when a question is done with.

    Raises:
        PairError, StoreError: The pair or the index cannot be opened, or they do not belong together.
    """
    num_answered = len(questions) if num_answered is None else min(num_answered, len(questions))
    made = _predictions(model, questions, decoding, num_answered, on_reply)
    rules = Rules(right_f1=right_f1)
    scores = [score(question, one, rules) for question, one in zip(questions, made, strict=True)]
    if predictions is not None:
        predictions.write_text("".join(map(_line, questions, made, scores)), "utf-8")
    answered = scores[:num_answered]
    return SetFigures(
        questions=len(questions),
        **_means(scores, _LOOKUP_FIELDS),
        **_means(answered, _ANSWER_FIELDS),
        answered=num_answered,
        wrong_lookups=sum(not one["cites_gold"] for one in answered),
        refused=sum(one.refusal is not None for one in made),
    )


def measure_bm25(passages: Sequence[Passage], questions: Sequence[Question]) -> SetFigures:
    """Figures of BM25's lookups; it has no answers of its own.

    Raises:
        CosupError: Its libraries are not installed.
    """
    rankings = Bm25(passages).rank([question.text for question in questions], NUM_FOUND)
    scores = [
        score(question, Prediction(dataset="", system="bm25", id=question.id, found=_found(ranked)), Rules())
        for question, ranked in zip(questions, rankings, strict=True)
    ]
    return SetFigures(questions=len(questions), **_means(scores, _LOOKUP_FIELDS), note="BM25 does not answer")


def _predictions(
    model: ModelSettings,
    questions: Sequence[Question],
    decoding: Ask,
    num_answered: int,
    on_reply: Callable[[], None] | None,
) -> list[Prediction]:
    """What the pair finds for each question, and says to the first ones."""
    asks = [
        replace(decoding, question=question.text, top_k=NUM_FOUND, is_answered=number < num_answered)
        for number, question in enumerate(questions)
    ]

    def told(_number: int, _reply: Reply) -> None:
        if on_reply:
            on_reply()

    replies = answer_all(model, asks, told)
    return [
        prediction_of(reply, dataset="", system="pair", id=question.id)
        for question, reply in zip(questions, replies, strict=True)
    ]


def _means(scores: Sequence[Scores], fields: dict[str, str]) -> dict[str, float | None]:
    """The mean of each figure over the questions that it applies to; None where it applies to none."""
    means: dict[str, float | None] = {}
    for field, name in fields.items():
        values = [one[name] for one in scores if name in one]
        means[field] = fmean(values) if values else None
    return means


def _found(ranked: Sequence[tuple[str, float]]) -> list[Found]:
    return [Found(id=name, score=points) for name, points in ranked]


def _line(question: Question, prediction: Prediction, scores: Scores) -> str:
    told = {"question": question.text, "gold": list(question.gold_passages), "references": list(question.references)}
    said = prediction.model_dump(exclude={"dataset", "system"}, exclude_none=True)
    return json.dumps(said | told | {"scores": scores}, ensure_ascii=False) + "\n"
