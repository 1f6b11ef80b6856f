"""ROUGE-L on worked cases, and against the package that defines it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge import Rouge

from evaluation.metrics.rouge import rouge_l

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "A", "the", "b,"]), min_size=1, max_size=8).map(" ".join)
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(". ".join)


def test_it_is_the_f_measure_of_a_common_subsequence() -> None:
    # "the cat sat here" and "the dog sat": in common "the sat"; precision 2/4, recall 2/3, F 2 * (1/3) / (7/6) = 4/7
    assert rouge_l("the cat sat here", ["the dog sat"]) == pytest.approx(4 / 7)


def test_order_matters_and_case_too() -> None:
    assert rouge_l("b a", ["a b"]) == pytest.approx(1 / 2)  # one word of two
    assert rouge_l("A B", ["a b"]) == 0.0


def test_the_closest_reference_counts() -> None:
    assert rouge_l("red fox", ["blue whale", "red fox"]) == pytest.approx(1.0)


def test_an_answer_without_words_has_none() -> None:
    assert rouge_l("", ["a b"]) == rouge_l("...", ["a b"]) == rouge_l("a", []) == rouge_l("a", [""]) == 0.0


def test_several_sentences_join_what_each_has_in_common() -> None:
    # The only sentence of the reference shares "w1 w2" with the first and "w1 w3 w5" with the second: 4 of 5 words.
    # The answer has the distinct words w1 w2 w6 w7 w3 w8 w5, that is 7, and the empty word of " w1": it begins after
    # the full stop, but white space is stripped. Precision 4/7, recall 4/5, F = 2 * 16/35 / (48/35) = 2/3.
    assert rouge_l("w1 w2 w6 w7. w1 w3 w8 w5", ["w1 w2 w3 w4 w5"]) == pytest.approx(2 / 3)


@given(TEXTS, TEXTS)
def test_it_is_what_the_package_of_kilt_says(answer: str, reference: str) -> None:
    wanted = Rouge(metrics=["rouge-l"]).get_scores(answer, reference)[0]["rouge-l"]["f"]
    assert rouge_l(answer, [reference]) == pytest.approx(wanted, abs=1e-12)
