"""The metrics on cases worked by hand from their definitions."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics import (
    AnswerScore,
    contains,
    exact_match,
    normalise,
    recall_at,
    right_on_wrong_lookup,
    score_answer,
    stands_in,
    token_f1,
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("U.S.A.'s state-of-the-art", "usas stateoftheart"),  # punctuation goes before articles, and leaves no space
        ("The  cat, a dog\tand an owl.", "cat dog and owl"),
        ("Theatre", "theatre"),  # articles are whole words
        ("the", ""),
        ("", ""),
        ("Ärger «naïve»", "ärger «naïve»"),  # only ASCII punctuation is punctuation
    ],
)
def test_normal_form_is_kilts(text: str, normal: str) -> None:
    assert normalise(text) == normal


@given(st.text())
def test_the_normal_form_has_no_punctuation_and_no_runs_of_space(text: str) -> None:
    normal = normalise(text)
    assert not set(normal) & set(string.punctuation)
    assert normal == " ".join(normal.split())


def test_an_exact_match_ignores_case_articles_and_punctuation() -> None:
    assert exact_match("The Eiffel Tower.", ["Big Ben", "eiffel tower"])
    assert not exact_match("Eiffel", ["eiffel tower"])


def test_f1_is_the_harmonic_mean_of_token_precision_and_recall() -> None:
    # found {red, red, fox}, wanted {red, fox, den}: two in common, precision 2/3, recall 2/3
    assert token_f1("red red fox", ["red fox den"]) == pytest.approx(2 / 3)
    # precision 1/1, recall 1/2
    assert token_f1("Paris", ["Paris France"]) == pytest.approx(2 / 3)


def test_f1_takes_the_closest_reference() -> None:
    assert token_f1("blue whale", ["red fox", "the blue whale"]) == 1.0


def test_texts_of_nothing_but_articles_match_exactly_with_an_f1_of_zero() -> None:
    assert exact_match("the", ["a"])
    assert token_f1("the", ["a"]) == 0.0


def test_an_answer_without_a_reference_matches_nothing() -> None:
    assert not exact_match("x", [])
    assert token_f1("x", []) == 0.0
    assert not contains("x", [])


def test_containment_looks_for_a_reference_within_the_answer() -> None:
    assert contains("It was built in 1889, in Paris.", ["1890", "built in 1889"])
    assert not contains("1889", ["built in 1889"])


def test_a_reference_of_which_nothing_is_left_is_contained_in_no_answer() -> None:
    assert not contains("anything", ["the", "..."])


def test_a_span_stands_in_a_passage_only_as_whole_words() -> None:
    assert stands_in("burns 3 hours", "The lamp burns 3 hours.")
    assert not stands_in("burns 3 hours", "The lamp burns 33 hours.")
    assert not stands_in("art", "a party")
    assert not stands_in("the", "the lamp")


def test_recall_counts_lookups_with_a_gold_passage_among_the_first() -> None:
    found = [["a", "b", "c"], ["d", "e", "f"], ["g"], []]
    gold = [{"b"}, {"d", "x"}, {"y"}, {"z"}]
    assert recall_at(1, found, gold) == 1 / 4
    assert recall_at(2, found, gold) == 2 / 4
    assert recall_at(5, found, gold) == 2 / 4
    assert recall_at(5, [], []) == 0.0


def judged(answer: str, citations: list[tuple[str, str]], looked_up: set[str], **more: float) -> AnswerScore:
    return score_answer(answer, ["3 hours"], citations=citations, looked_up=looked_up, gold={"lamp1"}, **more)


def test_an_answer_from_the_gold_passage_is_right_and_grounded() -> None:
    score = judged("It burns 3 hours.", [("burns 3 hours.", "Lamp 1 burns 3 hours.")], {"lamp1"})
    assert score == AnswerScore(exact=False, f1=2 * 2 / (4 + 2), right=True, grounded=True, cites_gold=True)


def test_an_answer_that_cites_what_its_passage_does_not_say_is_not_grounded() -> None:
    assert not judged("3 hours", [("3 hours", "Lamp 2 burns 6 hours.")], {"lamp2"}).grounded
    one_of_two = [("3 hours", "Lamp 1 burns 3 hours."), ("4 hours", "Lamp 1 burns 3 hours.")]
    assert not judged("3 hours 4 hours", one_of_two, {"lamp1"}).grounded


def test_an_answer_without_citations_is_not_grounded_though_it_may_be_right() -> None:
    score = judged("3 hours", [], set())
    assert score.exact
    assert score.right
    assert not score.grounded
    assert not score.cites_gold


def test_a_set_of_long_references_may_count_an_f1_as_right() -> None:
    assert not judged("about 3", [], set()).right
    assert judged("about 3", [], set(), right_f1=0.5).right


def test_leaning_on_memory_is_the_share_of_right_answers_among_those_whose_lookup_was_wrong() -> None:
    def answer(*, right: bool, gold: bool) -> AnswerScore:
        return AnswerScore(exact=False, f1=0.0, right=right, grounded=False, cites_gold=gold)

    scores = [
        answer(right=True, gold=True),
        answer(right=True, gold=False),
        answer(right=False, gold=False),
        answer(right=False, gold=False),
        answer(right=False, gold=True),
    ]
    assert right_on_wrong_lookup(scores) == pytest.approx(1 / 3)
    assert right_on_wrong_lookup([answer(right=True, gold=True)]) is None
