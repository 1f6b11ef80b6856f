"""Every figure of one answered question, as far as it applies; means over questions are the figures of a report."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from evaluation.cutting import Cut
from evaluation.metrics import citations as judged
from evaluation.metrics import lists, ranking, rouge, text
from evaluation.metrics.citations import Pair
from evaluation.predictions import Prediction, names_of
from evaluation.questions import Question

Scores = dict[str, float]
"""Figures by the names of `catalogue`, each between 0 and 1; one that does not apply is not there."""

Correct = Literal["contains", "f1", "rouge_l", "str_em", "claims"]
Lookups = Literal["answers", "gold"]


@dataclass(frozen=True)
class Rules:
    """What differs from set to set.

    right_f1: token F1 from which an answer is right, for sets of long references; None: only one that contains one.
    rouge: whether ROUGE-L is computed, which takes milliseconds for each long reference.
    paper_correct: the paper's rule of a correct answer; None where the set is none of its ten.
    paper_lookups: the paper's rule of a right lookup: a passage that holds an answer, or one that is gold.
    """

    right_f1: float | None = None
    rouge: bool = False
    paper_correct: Correct | None = None
    paper_lookups: Lookups = "answers"


def score(
    question: Question,
    prediction: Prediction,
    rules: Rules,
    judging: tuple[Cut, Mapping[Pair, bool]] | None = None,
    *,
    suffix: str = "",
) -> Scores:
    """The figures of one question.

    A question that was refused counts as answered wrong. One that cannot be answered has no figures here.

    Args:
        question: What would be right.
        prediction: What was done.
        rules: Those of the set.
        judging: The answer, cut, and the judgements of its pairs; None leaves out the figures that rest on a judge.
        suffix: The judge's, put behind the names of the figures that rest on it.
    """
    if not question.is_answerable:
        return {}
    scores = _lookup_scores(question, prediction)
    if prediction.answer is None and prediction.refusal is None:
        return scores  # only looked up
    answer = (prediction.answer or "").strip()
    scores |= _answer_scores(question, answer, rules)
    if question.evidence:
        scores |= _provenance_scores(question, prediction, scores)
    scores |= _leaning_scores(question, prediction, bool(scores.get("right")))
    by_judge = {} if judging is None else _judged_scores(question, *judging)
    scores |= {f"{name}{suffix}": value for name, value in by_judge.items()}
    if rules.paper_correct is not None:
        scores |= _paper_scores(question, prediction, rules, scores, by_judge, suffix)
    return scores


def has_gold_lookup(question: Question, prediction: Prediction) -> bool:
    """Whether a passage that the answer looked up is gold."""
    return not question.gold_names.isdisjoint(names_of(question, prediction.passages))


def _lookup_scores(question: Question, prediction: Prediction) -> Scores:
    if not question.evidence:
        return {}
    if prediction.found is None:
        if prediction.refusal is None:
            return {}  # a system that never looks up
        found: list[str] = []
    else:
        found = ranking.distinct(names_of(question, prediction.found))
    return {
        "success@1": float(ranking.success_at(1, found, question.evidence)),
        "success@5": float(ranking.success_at(5, found, question.evidence)),
        "mrr": ranking.reciprocal_rank(found, question.evidence),
    }


def _answer_scores(question: Question, answer: str, rules: Rules) -> Scores:
    """Figures of the text alone; an empty answer has 0 in all of them, as KILT has it."""
    scores: Scores = {}
    if question.references:
        f1 = text.token_f1(answer, question.references)
        is_right = text.contains(answer, question.references) or (rules.right_f1 is not None and f1 >= rules.right_f1)
        scores |= {
            "em": float(bool(answer) and text.exact_match(answer, question.references)),
            "f1": f1,
            "accuracy": float(bool(answer) and text.accuracy(answer, question.references)),
            "right": float(is_right),
        }
        if rules.rouge:
            scores["rouge_l"] = rouge.rouge_l(answer, question.references)
    if question.parts:
        share = lists.str_em(answer, question.parts)
        scores |= {"str_em": share, "str_hit": float(share == 1)}
    if question.listed:
        listed = lists.list_score(answer, question.listed)
        scores |= {
            "list_precision": listed.precision,
            "list_recall": listed.recall,
            "list_recall@5": listed.recall_5,
            "list_f1": listed.f1,
            "list_f1@5": listed.f1_5,
        }
    return scores


def _provenance_scores(question: Question, prediction: Prediction, answer_scores: Scores) -> Scores:
    """KILT's: provenance is what the answer looked up, in order of use, and after it the ranking for the question."""
    names = names_of(question, prediction.passages) + names_of(question, prediction.found or [])
    provenance = ranking.distinct(names)
    precision = ranking.r_precision(provenance, question.evidence)
    scores = {"r_precision": precision, "recall@5": ranking.recall_at(5, provenance, question.evidence)}
    if question.names == "page":
        for name in ("em", "f1", "accuracy", "rouge_l"):
            if name in answer_scores:
                scores[f"kilt_{name}"] = answer_scores[name] if precision == 1 else 0.0
    return scores


def _leaning_scores(question: Question, prediction: Prediction, is_right: bool) -> Scores:
    """Whether the answer stands on its passages."""
    texts = {one.id: f"{one.title} {one.text}" for one in prediction.passages}
    said = prediction.answer or ""
    stands = [text.stands_in(said[one.start : one.end], texts.get(one.passage_id, "")) for one in prediction.citations]
    scores = {"grounded": float(bool(stands) and all(stands))}
    if question.evidence:
        is_gold = has_gold_lookup(question, prediction)
        scores["cites_gold"] = float(is_gold)
        if not is_gold and question.references:
            scores["right_lookup_wrong"] = float(is_right)
    return scores


def _judged_scores(question: Question, said: Cut, known: Mapping[Pair, bool]) -> Scores:
    def entails(premise: str, hypothesis: str) -> bool:
        return known[premise, hypothesis]

    scores: Scores = {}
    if question.claims:
        scores["claim_recall"] = sum(known[pair] for pair in said.claims) / len(question.claims)
    if not said.statements:
        return scores  # ALCE passes over an answer without sentences
    return scores | {
        "citation_recall": judged.citation_recall(said.statements, entails),
        "citation_precision": judged.citation_precision(said.statements, entails),
        "grounding": judged.grounding(said.grounding, entails),
    }


def _paper_scores(
    question: Question, prediction: Prediction, rules: Rules, scores: Scores, by_judge: Scores, suffix: str
) -> Scores:
    """Retrieval and correctness as the paper's own script counts them; questions without answers have 0 retrieval."""
    distinct = list({one.id: one for one in prediction.passages}.values())
    if rules.paper_lookups == "answers":
        held = [text.holds_literally(f"{one.title} :: {one.text}", question.references) for one in distinct]
    else:
        gold = question.gold_names
        held = [name in gold for name in ranking.distinct(names_of(question, distinct))]
    retrieval = fmean(held) if held else 0.0
    rule = {"contains": "right", "claims": "claim_recall"}.get(rules.paper_correct or "", rules.paper_correct or "")
    correct = by_judge.get(rule, scores.get(rule))
    told: Scores = {"paper_retrieval": retrieval}
    if correct is not None:
        told[f"paper_correct{suffix if rule in by_judge else ''}"] = correct
        if retrieval == 0:
            told["paper_correct_lookup_failed"] = correct
    return told
