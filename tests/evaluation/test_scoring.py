"""All figures of one question, worked by hand."""

from typing import Any

import numpy as np
import pytest

from evaluation.abstention import abstention
from evaluation.cutting import cut_all
from evaluation.judge import LexicalJudge, judgements
from evaluation.predictions import Cited, Found, Prediction, Read
from evaluation.questions import Question, question_of
from evaluation.scoring import Rules, Scores, score
from evaluation.slices import slice_of
from semiparametric.formats import Example, Segment

LAMP = Read(id="lamp1", title="Lamp 1", text="It burns 3 hours.")
OTHER = Read(id="lamp2", title="Lamp 2", text="It burns 6 hours.")
QUESTION = Question(
    id="q", text="How long?", references=("3 hours",), evidence=(frozenset({"lamp1"}),), gold_passages=("lamp1",)
)


def made(answer: str | None, *citations: tuple[str, Read], found: tuple[str, ...] = (), **more: Any) -> Prediction:
    """A prediction that cites the first occurrence of each span."""
    cited = [
        Cited(start=(answer or "").index(span), end=(answer or "").index(span) + len(span), passage_id=read.id)
        for span, read in citations
    ]
    ranked = [Found(id=name, score=1 / rank) for rank, name in enumerate(found, start=1)]
    read = list({one.id: one for _, one in citations}.values())
    return Prediction(
        dataset="d", system="pair", id="q", answer=answer, citations=cited, passages=read, found=ranked, **more
    )


def scored(question: Question, prediction: Prediction, **rules: Any) -> Scores:
    judge = LexicalJudge()
    (said,) = cut_all([(question, prediction)])
    known = judgements(judge, said.pairs)
    return score(question, prediction, Rules(**rules), (said, known), suffix=judge.suffix)


def test_an_answer_from_the_gold_passage_is_right_and_grounded() -> None:
    scores = scored(QUESTION, made("It burns 3 hours.", ("burns 3 hours.", LAMP), found=("lamp2", "lamp1")))
    assert scores["right"] == scores["grounded"] == scores["cites_gold"] == scores["r_precision"] == 1
    assert scores["f1"] == pytest.approx(2 * 2 / (4 + 2))
    assert (scores["em"], scores["success@1"], scores["success@5"], scores["mrr"]) == (0, 0, 1, 1 / 2)
    assert scores["citation_recall_lexical"] == scores["citation_precision_lexical"] == 1
    assert "right_lookup_wrong" not in scores


def test_an_answer_said_from_memory_is_right_though_its_lookup_is_wrong() -> None:
    scores = scored(QUESTION, made("3 hours", ("3 hours", OTHER), found=("lamp2",)))
    assert (scores["right"], scores["right_lookup_wrong"]) == (1, 1)
    assert scores["grounded"] == scores["cites_gold"] == scores["r_precision"] == 0


def test_every_cited_span_must_stand_in_its_own_passage() -> None:
    answer = "3 hours, 6 hours"
    assert scored(QUESTION, made(answer, ("3 hours", LAMP), ("6 hours", OTHER)))["grounded"] == 1
    assert scored(QUESTION, made(answer, ("3 hours", LAMP), ("6 hours", LAMP)))["grounded"] == 0
    assert scored(QUESTION, made("3 hours"))["grounded"] == 0


def test_a_set_of_long_references_may_count_an_f1_as_right() -> None:
    assert scored(QUESTION, made("about 3"))["right"] == 0
    assert scored(QUESTION, made("about 3"), right_f1=0.5)["right"] == 1


def test_an_empty_answer_is_wrong_and_citations_do_not_apply_to_it() -> None:
    scores = scored(QUESTION, made("  ", found=("lamp1",)))
    assert scores["em"] == scores["f1"] == scores["right"] == scores["grounded"] == 0
    assert scores["success@1"] == 1
    assert "citation_recall_lexical" not in scores


def test_a_refused_question_counts_as_wrong_throughout() -> None:
    refused = Prediction(dataset="d", system="pair", id="q", refusal="too long")
    scores = scored(QUESTION, refused)
    assert {scores[name] for name in ("success@1", "em", "f1", "right", "grounded", "cites_gold")} == {0.0}
    assert slice_of(QUESTION, refused, scores) == "refused"


def test_a_closed_book_has_no_figures_of_lookups() -> None:
    closed = Prediction(dataset="d", system="closed-book", id="q", answer="3 hours")
    scores = scored(QUESTION, closed)
    assert "success@1" not in scores
    assert (scores["right"], scores["r_precision"]) == (1, 0)
    assert slice_of(QUESTION, closed, scores) == "no lookup, answer right"


def test_a_ranking_alone_has_figures_of_lookups_alone() -> None:
    scores = scored(QUESTION, made(None, found=("lamp1",)))
    assert set(scores) == {"success@1", "success@5", "mrr"}
    assert slice_of(QUESTION, made(None, found=("lamp1",)), scores) == "lookup right"


def test_kilt_counts_an_answer_only_where_its_pages_are_right() -> None:
    question = Question(id="q", text="?", references=("3 hours",), evidence=(frozenset({"7"}),), names="page")
    right = Read(id="7-2", title="Lamp", text="It burns 3 hours.", page="7")
    scores = scored(question, made("3 hours", ("3 hours", right)))
    assert (scores["kilt_em"], scores["kilt_f1"], scores["cites_gold"]) == (1, 1, 1)
    wrong = Read(id="8-2", title="Lamp", text="It burns 3 hours.", page="8")
    scores = scored(question, made("3 hours", ("3 hours", wrong)))
    assert (scores["em"], scores["kilt_em"]) == (1, 0)


def test_the_papers_lookups_are_right_where_they_hold_an_answer_and_its_correctness_is_split_by_that() -> None:
    scores = scored(QUESTION, made("3 hours", ("3 hours", LAMP), ("hours", OTHER)), paper_correct="contains")
    assert (scores["paper_retrieval"], scores["paper_correct"]) == (0.5, 1)
    assert "paper_correct_lookup_failed" not in scores
    failed = scored(QUESTION, made("3 hours", ("hours", OTHER)), paper_correct="contains")
    assert (failed["paper_retrieval"], failed["paper_correct_lookup_failed"]) == (0, 1)


def test_the_papers_lookups_may_be_judged_by_gold_and_its_answers_by_claims() -> None:
    question = Question(id="q", text="?", evidence=(frozenset({"lamp1"}),), claims=("It burns 3 hours.", "It is red."))
    prediction = made("It burns 3 hours.", ("3 hours", LAMP))
    scores = scored(question, prediction, paper_correct="claims", paper_lookups="gold")
    assert (scores["paper_retrieval"], scores["claim_recall_lexical"], scores["paper_correct_lexical"]) == (1, 0.5, 0.5)


def test_an_alce_question_is_scored_by_its_parts_and_lists() -> None:
    parts = Question(id="q", text="?", parts=(("3 hours", "three hours"), ("6 hours",)))
    scores = scored(parts, made("three hours"))
    assert (scores["str_em"], scores["str_hit"]) == (0.5, 0)
    listed = Question(id="q", text="?", listed=(("fox",), ("crow",)))
    assert scored(listed, made("fox, ant"))["list_f1"] == 0.5
    assert slice_of(listed, made("fox, ant"), scored(listed, made("fox, ant"))) == "no lookup, answer wrong"


def test_questions_are_sorted_into_where_they_went_wrong() -> None:
    for answer, read, wanted in (
        ("3 hours", LAMP, "lookup right, answer right"),
        ("3 hours", OTHER, "lookup wrong, answer right"),
        ("hours", LAMP, "lookup right, answer wrong"),
        ("hours", OTHER, "lookup wrong, answer wrong"),
    ):
        prediction = made(answer, ("hours", read))
        assert slice_of(QUESTION, prediction, scored(QUESTION, prediction)) == wanted
    silent = Question(id="q", text="?")
    assert slice_of(silent, made(""), {}) == "no answer exists, none given"
    assert slice_of(silent, made("x"), {}) == "no answer exists, one given"


def test_a_question_without_an_answer_has_no_figures() -> None:
    silent = Question(id="q", text="?")
    assert not silent.is_answerable
    assert scored(silent, made("anything", found=("lamp1",))) == {}


def test_an_example_without_answers_is_scored_against_its_segments_and_placeholders_are_no_answers() -> None:
    segments = [Segment(text="It burns"), Segment(text=" 3 hours.", passage_id="lamp1")]
    assert question_of(Example(id="e", question="?", segments=segments)).references == ("It burns 3 hours.",)
    example = Example(id="e", question="?", answers=["NA", "3 hours", " "], segments=segments)
    assert question_of(example, ["NA"]).references == ("3 hours",)
    assert not question_of(Example(id="e", question="?")).is_answerable
    placeholder = Example(id="e", question="?", answers=["NA"], segments=[Segment(text="NA")])
    assert not question_of(placeholder, ["NA"]).is_answerable


def test_the_best_score_of_a_lookup_may_tell_which_questions_have_no_answer() -> None:
    def asked(*scored_questions: tuple[float, bool]) -> tuple[list[Question], list[Prediction]]:
        silent = Question(id="q", text="?")
        questions = [QUESTION if has_answer else silent for _, has_answer in scored_questions]
        return questions, [
            Prediction(dataset="d", system="pair", id="q", found=[Found(id="x", score=points)])
            for points, _ in scored_questions
        ]

    curve = abstention(*asked((0.1, False), (0.2, False), (0.3, True), (0.4, False), (0.5, True)))
    assert curve is not None
    told = [[point.precision, point.recall, point.answered] for point in curve.points]
    wanted = [[1, 1 / 3, 1], [1, 2 / 3, 1], [2 / 3, 2 / 3, 0.5], [3 / 4, 1, 0.5], [3 / 5, 1, 0]]
    np.testing.assert_allclose(told, wanted)
    assert curve.points[1].min_score == pytest.approx(0.25)  # half-way to the first score that is kept
    assert curve.points[-1].min_score > 0.5  # withdraws even the best
    # Each question without an answer at its own score: precision 1, 1 and 3/4.
    assert curve.average_precision == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert curve.share == 3 / 5
    assert abstention(*asked((0.1, True), (0.2, True))) is None
