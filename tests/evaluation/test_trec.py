"""Run files and qrels, read by the field's own tool."""

from pathlib import Path

import ir_measures
import pytest
from ir_measures import RR, R, Success

from evaluation.predictions import Found, Prediction
from evaluation.questions import Names, Question
from evaluation.scoring import Rules, score
from evaluation.trec import write_qrels, write_run


def question(name: str, *sets: set[str], names: Names = "passage") -> Question:
    return Question(id=name, text="?", evidence=tuple(map(frozenset, sets)), names=names)


def prediction(name: str, *found: tuple[str, float, str | None]) -> Prediction:
    ranked = [Found(id=one, score=points, page=page) for one, points, page in found]
    return Prediction(dataset="d", system="pair", id=name, found=ranked)


def test_ir_measures_finds_the_figures_of_the_report(tmp_path: Path) -> None:
    questions = [question("q 1", {"a b", "c"}), question("q2", {"d"}), question("q3", {"x"})]
    predictions = [
        prediction("q 1", ("z", 0.5, None), ("a b", 0.5, None), ("c", 0.5, None)),  # ties keep their order
        prediction("q2", ("d", 2.0, None), ("z", -1.0, None)),
        prediction("q3", ("z", 1.0, None)),
    ]
    write_qrels(tmp_path / "qrels", questions)
    write_run(tmp_path / "run", {one.id: one for one in questions}, predictions, "pair")
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "qrels")))
    run = list(ir_measures.read_trec_run(str(tmp_path / "run")))
    found = ir_measures.calc_aggregate([Success @ 1, Success @ 5, RR, R @ 2], qrels, run)
    ours = [score(one, made, Rules()) for one, made in zip(questions, predictions, strict=True)]
    for theirs, name in ((Success @ 1, "success@1"), (Success @ 5, "success@5"), (RR, "mrr")):
        assert found[theirs] == pytest.approx(sum(one[name] for one in ours) / 3)
    assert found[R @ 2] == pytest.approx((1 / 2 + 1 + 0) / 3)


def test_where_evidence_names_pages_each_page_stands_once(tmp_path: Path) -> None:
    asked = question("q", {"7"}, names="page")
    made = prediction("q", ("7-1", 3.0, "7"), ("7-2", 2.0, "7"), ("8-1", 1.0, "8"))
    write_run(tmp_path / "run", {"q": asked}, [made], "pair")
    assert [line.split()[2:4] for line in (tmp_path / "run").read_text("utf-8").splitlines()] == [
        ["7", "1"],
        ["8", "2"],
    ]
