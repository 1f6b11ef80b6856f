"""A pair on a question set: look the questions up, answer the first ones, and count."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from evaluation.bm25 import bm25_ranks
from evaluation.metrics import AnswerScore, recall_at, right_on_wrong_lookup, score_answer, share
from evaluation.results import SetFigures
from semiparametric.formats import Example, Passage
from service.local import Asking, Reply, answer_all

NUM_FOUND = 5
"""Passages that a lookup reports; recall is given at 1 and at this number."""


def asked(examples: Sequence[Example], limit: int | None) -> list[Example]:
    """A fixed random sample of the examples that cite a passage, at most `limit` of them."""
    cited = [example for example in examples if example.cited]
    random.Random(0).shuffle(cited)  # noqa: S311 - a sample, not a secret
    return cited[:limit]


def gold_ids(example: Example) -> set[str]:
    """Ids of the passages that the reference answer cites."""
    return {segment.passage_id for segment in example.cited if segment.passage_id is not None}


def references(example: Example) -> list[str]:
    """Acceptable answers; the text of the segments where none is given."""
    return example.answers or [" ".join(segment.text.strip() for segment in example.segments)]


def measure_pair(
    pair: Path,
    index: Path,
    examples: Sequence[Example],
    asking: Asking,
    *,
    right_f1: float | None = None,
    predictions: Path | None = None,
    on_reply: Callable[[], None] | None = None,
) -> SetFigures:
    """Ask a pair all questions and count.

    Args:
        pair: Folder of the pair.
        index: Folder of the index of the set's corpus, built with the pair.
        examples: Examples that each cite a passage (`asked`).
        asking: How they are asked; with `num_answered` 0 the figures of answers are None.
        right_f1: See `score_answer`.
        predictions: File for one JSON line for each question: what was found, said and counted.
        on_reply: Called when a question is done with.

    Raises:
        PairError, StoreError: The pair or the index cannot be opened, or they do not belong together.
    """
    replies = answer_all(pair, index, [example.question for example in examples], asking, on_reply=on_reply)
    scores = [_score(example, reply, right_f1) for example, reply in zip(examples, replies, strict=True)]
    if predictions is not None:
        lines = map(_prediction, examples, replies, scores)
        predictions.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    num_answered = len(examples) if asking.num_answered is None else min(asking.num_answered, len(examples))
    answers = [score or _NOTHING_SAID for score in scores[:num_answered]]
    return _figures(examples, replies, answers)


def measure_bm25(passages: Sequence[Passage], examples: Sequence[Example]) -> SetFigures:
    """Figures of BM25's lookups; it has no answers of its own.

    Raises:
        CosupError: Its libraries are not installed.
    """
    found = bm25_ranks(passages, [example.question for example in examples], NUM_FOUND)
    gold = [gold_ids(example) for example in examples]
    return SetFigures(
        questions=len(examples),
        recall_at_1=recall_at(1, found, gold),
        recall_at_5=recall_at(NUM_FOUND, found, gold),
        note="BM25 does not answer",
    )


# What could not be asked was answered wrong.
_NOTHING_SAID = AnswerScore(exact=False, f1=0.0, right=False, grounded=False, cites_gold=False)


def _score(example: Example, reply: Reply, right_f1: float | None) -> AnswerScore | None:
    answer = reply.answer
    if answer is None:
        return None
    texts = {used.passage.id: f"{used.passage.title} {used.passage.text}" for used in answer.passages}
    return score_answer(
        answer.text,
        references(example),
        citations=[(answer.text[cited.start : cited.end], texts[cited.passage_id]) for cited in answer.citations],
        looked_up=texts.keys(),
        gold=gold_ids(example),
        right_f1=right_f1,
    )


def _figures(examples: Sequence[Example], replies: Sequence[Reply], answers: Sequence[AnswerScore]) -> SetFigures:
    found = [[scored.passage.id for scored in reply.found] for reply in replies]
    gold = [gold_ids(example) for example in examples]
    figures = SetFigures(
        questions=len(examples),
        recall_at_1=recall_at(1, found, gold),
        recall_at_5=recall_at(NUM_FOUND, found, gold),
        answered=len(answers),
        refused=sum(reply.refusal is not None for reply in replies),
    )
    if not answers:
        return figures
    return figures.model_copy(
        update={
            "exact_match": share([answer.exact for answer in answers]),
            "f1": fmean(answer.f1 for answer in answers),
            "right": share([answer.right for answer in answers]),
            "grounded": share([answer.grounded for answer in answers]),
            "cites_gold": share([answer.cites_gold for answer in answers]),
            "wrong_lookups": sum(not answer.cites_gold for answer in answers),
            "right_on_wrong_lookup": right_on_wrong_lookup(answers),
        }
    )


def _prediction(example: Example, reply: Reply, score: AnswerScore | None) -> dict[str, Any]:
    line: dict[str, Any] = {
        "id": example.id,
        "question": example.question,
        "gold": sorted(gold_ids(example)),
        "found": [scored.passage.id for scored in reply.found],
    }
    if reply.refusal is not None:
        line["refusal"] = reply.refusal
    if reply.answer is not None and score is not None:
        line |= {
            "answer": reply.answer.text,
            "references": references(example),
            "citations": [asdict(citation) for citation in reply.answer.citations],
            **asdict(score),
        }
    return line
