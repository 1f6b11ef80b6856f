"""Two evaluations compared on the questions that both answered."""

import json
from pathlib import Path

import pytest

from evaluation.compare import Side, compare, comparison_markdown
from semiparametric.errors import InputError


def write_scores(folder: Path, system: str, scores: dict[str, dict[str, float]], dataset: str = "nq") -> Path:
    folder.mkdir(exist_ok=True)
    with (folder / "scores.jsonl").open("a", encoding="utf-8") as file:
        for name, figures in scores.items():
            line = {"dataset": dataset, "system": system, "id": name, "slice": "", "scores": figures}
            file.write(json.dumps(line) + "\n")
    return folder


def test_a_difference_is_taken_over_the_questions_that_both_have(tmp_path: Path) -> None:
    ours = write_scores(tmp_path / "a", "pair", {"q1": {"f1": 0.9}, "q2": {"f1": 0.7, "em": 1.0}, "q3": {"f1": 1.0}})
    theirs = write_scores(tmp_path / "b", "pair", {"q1": {"f1": 0.5}, "q2": {"f1": 0.3}, "q9": {"f1": 0.0}})
    figures = compare(Side(ours, "pair"), Side(theirs, "pair"), resamples=200)["nq"]
    assert set(figures) == {"f1"}
    assert figures["f1"].count == 2
    assert figures["f1"].mean == pytest.approx(0.4)
    assert figures["f1"].low == pytest.approx(0.4)
    page = comparison_markdown(Side(ours, "pair"), Side(theirs, "pair"), {"nq": figures})
    assert "| F1 | +40.0 [+40.0, +40.0] | 0.000 | 2 |" in page


def test_a_side_is_a_folder_or_a_folder_and_a_system(tmp_path: Path) -> None:
    assert Side.of("runs/a") == Side(Path("runs/a"), "pair")
    assert Side.of("runs/a:closed-book") == Side(Path("runs/a"), "closed-book")
    (tmp_path / "odd:name").mkdir()
    assert Side.of(str(tmp_path / "odd:name")) == Side(tmp_path / "odd:name", "pair")


def test_systems_of_one_evaluation_may_be_compared(tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "a", "pair", {"q1": {"right": 1.0}})
    write_scores(folder, "bm25", {"q1": {"right": 0.0}})
    assert compare(Side.of(str(folder)), Side.of(f"{folder}:bm25"))["nq"]["right"].mean == 1.0


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no scores\.jsonl\. Give the `out` of a `cosup eval`"):
        compare(Side(tmp_path, "pair"), Side(tmp_path, "pair"))


def test_a_system_that_was_not_asked_is_refused(tmp_path: Path) -> None:
    folder = write_scores(tmp_path / "a", "pair", {"q1": {"f1": 1.0}})
    with pytest.raises(InputError, match=r"has no system 'dense'\. It has pair"):
        compare(Side(folder, "pair"), Side(folder, "dense"))


def test_evaluations_of_other_questions_are_refused(tmp_path: Path) -> None:
    ours = write_scores(tmp_path / "a", "pair", {"q1": {"f1": 1.0}})
    theirs = write_scores(tmp_path / "b", "pair", {"q2": {"f1": 1.0}})
    with pytest.raises(InputError, match="have no question of one set in common"):
        compare(Side(ours, "pair"), Side(theirs, "pair"))
