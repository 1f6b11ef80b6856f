"""ALCE's metrics of lists and of answers in parts, worked by hand."""

import pytest

from evaluation.metrics.lists import items_of, list_score, str_em


def test_str_em_is_the_share_of_parts_with_an_alias_in_the_answer() -> None:
    parts = [["1889", "in 1889"], ["Gustave Eiffel", "Eiffel"], ["Lyon"]]
    assert str_em("Eiffel built it in 1889.", parts) == pytest.approx(2 / 3)
    assert str_em("", parts) == str_em("x", []) == 0.0


def test_items_stand_between_commas_without_the_last_full_stop() -> None:
    assert items_of(" The Fox, a Crow,, Ant.") == ["fox", "crow", "ant"]
    assert items_of("") == []


def test_a_list_is_compared_item_by_item_with_aliases() -> None:
    wanted = [["fox", "red fox"], ["crow"], ["ant"], ["bee"]]
    score = list_score("Red fox, crow, whale.", wanted)
    assert score.precision == pytest.approx(2 / 3)
    assert score.recall == pytest.approx(2 / 4)
    assert score.f1 == pytest.approx(2 * (2 / 3) * (1 / 2) / (2 / 3 + 1 / 2))
    assert score.recall_5 == score.recall  # four answers are fewer than five


def test_five_answers_are_all_that_can_be_asked_for() -> None:
    wanted = [[name] for name in "abcdefghij" if name != "a"] + [["aa"]]  # ten answers
    score = list_score("b, c, d, e, f", wanted)
    assert (score.recall, score.recall_5, score.f1_5) == (0.5, 1.0, 1.0)


def test_an_empty_answer_scores_nothing() -> None:
    score = list_score("", [["fox"]])
    assert (score.precision, score.recall, score.f1) == (0.0, 0.0, 0.0)
