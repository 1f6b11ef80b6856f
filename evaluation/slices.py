"""Where answers go wrong: each question in one slice, by whether its lookup and its answer were right."""

from evaluation.predictions import Prediction
from evaluation.questions import Question
from evaluation.scoring import Scores, has_gold_lookup

REFUSED = "refused"
LEFT_UNANSWERED = "no answer exists, none given"
ANSWERED_ALL_THE_SAME = "no answer exists, one given"

_RIGHT_BY = ("right", "str_hit", "list_f1", "claim_recall", "claim_recall_lexical")
"""The first of these figures that a question has says whether its answer is right: where it is 1."""


def slice_of(question: Question, prediction: Prediction, scores: Scores) -> str:
    """The slice of a question in words, such as `lookup wrong, answer right`."""
    if prediction.refusal is not None:
        return REFUSED
    if not question.is_answerable:
        return ANSWERED_ALL_THE_SAME if (prediction.answer or "").strip() else LEFT_UNANSWERED
    said = [_lookup(question, prediction, scores)]
    if prediction.answer is not None:
        said.append("answer right" if _is_right(scores) else "answer wrong")
    return ", ".join(part for part in said if part)


def _lookup(question: Question, prediction: Prediction, scores: Scores) -> str:
    """Judged by the passages that the answer looked up; where it only looked up, by the first passage found."""
    if prediction.answer is not None and not prediction.passages:
        return "no lookup"
    if "paper_retrieval" in scores:
        return "lookup right" if scores["paper_retrieval"] else "lookup wrong"
    if not question.evidence:
        return ""
    is_gold = has_gold_lookup(question, prediction) if prediction.answer is not None else scores.get("success@1")
    return "lookup right" if is_gold else "lookup wrong"


def _is_right(scores: Scores) -> bool:
    return next((scores[name] == 1 for name in _RIGHT_BY if name in scores), False)
