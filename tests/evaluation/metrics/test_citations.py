"""Citation recall and precision, and grounding, worked by hand with a judge that knows a table of judgements."""

import pytest

from evaluation.metrics.citations import (
    Span,
    Statement,
    citation_precision,
    citation_recall,
    grounding,
    grounding_pairs,
    needed,
    statements_of,
)
from evaluation.metrics.marks import first_line, marked_answer, without_marks
from semiparametric.sentences import sentences

A, B, C = "a says fire", "b says ice", "c says nothing"


def entails(premise: str, hypothesis: str) -> bool:
    """Every word of the hypothesis stands in the premise."""
    return set(hypothesis.split()) <= set(premise.split())


def test_recall_is_the_share_of_statements_that_follow_from_what_they_cite_together() -> None:
    statements = [
        Statement("fire ice", (A, B)),  # from both together
        Statement("fire", (A,)),
        Statement("ice", (A,)),  # not from this one
        Statement("fire", ()),  # cites nothing
    ]
    assert citation_recall(statements, entails) == 2 / 4
    assert citation_recall([], entails) == 0.0


def test_precision_credits_citations_that_are_enough_alone_or_needed() -> None:
    # A is enough alone; C is not, and A without it still is enough: one of two.
    assert citation_precision([Statement("fire", (A, C))], entails) == 1 / 2
    # Neither is enough alone, and without either the other is not: both are needed.
    assert citation_precision([Statement("fire ice", (A, B))], entails) == 1.0
    # An unsupported statement credits none; a supported one of one citation credits it: one of three.
    assert citation_precision([Statement("water", (A, B)), Statement("fire", (A,))], entails) == pytest.approx(1 / 3)
    assert citation_precision([Statement("fire", ())], entails) == 0.0


def test_a_citation_of_no_passage_makes_its_statement_unsupported_and_uncounted() -> None:
    statements = [Statement("fire", (A, None)), Statement("fire", (A,))]
    assert citation_recall(statements, entails) == 1 / 2
    assert citation_precision(statements, entails) == 1.0


def test_only_the_first_three_citations_of_a_statement_count() -> None:
    one = Statement("ice", (A, A, C, B))
    assert citation_recall([one], entails) == 0.0


def test_all_judgements_are_named_beforehand() -> None:
    statements = [
        Statement("fire ice", (A, B, C)),
        Statement("fire", (A,)),
        Statement("x", (None,)),
        Statement("y", ()),
    ]
    asked: list[tuple[str, str]] = []

    def judged(premise: str, hypothesis: str) -> bool:
        asked.append((premise, hypothesis))
        return entails(premise, hypothesis)

    citation_recall(statements, judged)
    citation_precision(statements, judged)
    assert set(asked) <= set(needed(statements))


def test_a_sentence_cites_the_passages_of_the_spans_that_overlap_it() -> None:
    answer = "Fire burns. Ice melts here. So it is."
    spans = [Span(0, 10, A), Span(12, 26, B), Span(16, 20, A)]
    assert statements_of(sentences(answer), spans) == [
        Statement("Fire burns.", (A,)),
        Statement("Ice melts here.", (B, A)),
        Statement("So it is.", ()),
    ]
    assert statements_of([], []) == []


def test_grounding_judges_each_citation_with_the_uncited_text_before_it() -> None:
    answer = "It is: fire. And ice. The end."
    spans = [Span(7, 12, "It is: fire."), Span(13, 21, B)]
    pairs = grounding_pairs(sentences(answer), spans)
    assert pairs == [("It is: fire.", "It is: fire."), (B, "And ice.")]
    assert grounding(pairs, entails) == 1 / 2
    assert grounding(grounding_pairs(["No citation."], []), entails) == 0.0


def test_grounding_cuts_a_sentence_where_its_citation_ends() -> None:
    answer = "So it is. Fire burns and ice melts. The end."
    spans = [
        Span(10, 20, A),
        Span(25, 35, B),
        Span(26, 30, A),
    ]  # the last one lies within another: nothing is left to it
    assert grounding_pairs(sentences(answer), spans) == [(A, "So it is."), (A, "Fire burns"), (B, "and ice melts.")]


def test_marks_name_passages_counted_from_one() -> None:
    answer, marked = marked_answer("Fire burns [1]. Ice melts [2][1, 9]. Both [3]. Last [0].", 2)
    assert answer == "Fire burns. Ice melts, 9. Both. Last."
    said = [(answer[one.start : one.end], one.place) for one in marked]
    assert said == [("Fire burns.", 0), ("Ice melts, 9.", 1), ("Ice melts, 9.", 0), ("Both.", None), ("Last.", 1)]


def test_marks_without_passages_name_none() -> None:
    assert [one.place for one in marked_answer("Fire [1]. Ice [0].", 0)[1]] == [None, None]


def test_marks_are_taken_out_as_alce_does_it_with_what_that_leaves() -> None:
    assert without_marks("Fire [1, 2] burns [3] | now]") == "Fire, 2 burns now"
    assert first_line(" One. \nTwo.<|im_end|>") == "One. "
