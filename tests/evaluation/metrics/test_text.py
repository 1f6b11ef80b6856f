"""Metrics of answers on cases worked by hand from their definitions."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.metrics.text import (
    accuracy,
    contains,
    exact_match,
    holds_literally,
    normalise,
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


def test_accuracy_is_letter_by_letter() -> None:
    assert accuracy(" SUPPORTS\n", ["SUPPORTS"])
    assert not accuracy("supports", ["SUPPORTS"])


def test_the_papers_lookups_hold_an_answer_only_letter_by_letter() -> None:
    assert holds_literally("Tower :: Built in Paris.", ["paris", "Paris"])
    assert not holds_literally("Tower :: Built in paris.", ["Paris"])
    assert not holds_literally("anything", ["", *()])
