"""Reading questions, and answers made elsewhere, in the formats of the field; what is refused, and how it is said."""

from pathlib import Path
from typing import Any

import pytest

from evaluation.datasets import read_questions
from evaluation.questions import Question
from evaluation.settings import DatasetSettings
from evaluation.shown import check_metrics
from evaluation.submissions import read_submission
from semiparametric.errors import InputError
from semiparametric.formats import content_id
from tests.evaluation.sets import DOCS, EXAMPLES, example, kilt_record, write_json, write_lines


def read(path: Path, **settings: Any) -> list[Question]:
    return read_questions("set", DatasetSettings(file=path, **settings))


def test_examples_become_questions_with_the_passages_they_cite(tmp_path: Path) -> None:
    lamp, _, silent = read(write_lines(tmp_path / "e.jsonl", *EXAMPLES))
    assert (lamp.references, lamp.evidence, lamp.gold_passages) == (("at dusk",), (frozenset({"lamp"}),), ("lamp",))
    assert not silent.is_answerable


def test_a_larger_limit_only_adds_questions(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "e.jsonl", *(example(f"e{n}", "?", "x", "lamp") for n in range(30)))
    few, more = read(path, limit=5), read(path, limit=12)
    assert [one.id for one in more][:5] == [one.id for one in few]
    assert len(more) == 12
    assert len(read(path, limit=99)) == 30


def test_kilt_names_pages_and_each_output_with_provenance_is_an_evidence_set(tmp_path: Path) -> None:
    record = kilt_record("q1", "When?", ("at dusk", "10"), ("dusk", "20"))
    record["output"] += [{"answer": "dusk", "provenance": []}, {"answer": " "}, {"meta": {"score": 1}}]
    (question,) = read(write_lines(tmp_path / "nq-dev-kilt.jsonl", record), format="kilt")
    assert question.references == ("at dusk", "dusk")
    assert question.evidence == (frozenset({"10"}), frozenset({"20"}), frozenset())
    assert question.gold_passages == ("10-1", "20-1")
    assert (question.names, question.task) == ("page", "nq")


def test_alce_questions_have_parts_lists_or_claims_and_their_own_documents(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [
        {"sample_id": "a", "question": "?", "answer": "Long [1]. Answer.", "qa_pairs": [{"short_answers": ["x", "y"]}]},
        {"question": "?", "answers": [["fox", "red fox"], ["crow"]]},
        {"id": "c", "question": "?", "claims": ["It burns."]},
        {"id": "d", "question": "?", "answers": ["dusk"], "gold_docs": ["lamp"]},
    ]
    unnamed = {"title": " T ", "text": "No id."}
    for record in records:
        record["docs"] = [*DOCS, unnamed, {"title": "", "text": " "}]
    asqa, qampari, eli5, paper = read(write_json(tmp_path / "set.json", records), format="alce", candidates="docs")
    assert (asqa.id, asqa.references, asqa.parts) == ("a", ("Long. Answer.",), (("x", "y"),))
    assert (qampari.id, qampari.listed) == ("set-2", (("fox", "red fox"), ("crow",)))
    assert eli5.claims == ("It burns.",)
    assert (paper.references, paper.evidence) == (("dusk",), (frozenset({"lamp"}),))
    assert asqa.candidates == ("lamp", "tide", "wheel", content_id("alce", "T", "No id."))


def test_candidates_may_stand_in_a_file_of_their_own(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "e.jsonl", *EXAMPLES)
    named = write_lines(
        tmp_path / "candidates.jsonl",
        {"id": "e1", "candidates": ["lamp", "tide", "lamp"]},
        {"id": "e2", "ctxs": DOCS[:2]},
        {"id": "e3", "candidates": ["wheel"]},
    )
    questions = read(path, candidates=str(named))
    assert [one.candidates for one in questions] == [("lamp", "tide"), ("lamp", "tide"), ("wheel",)]


def refused(match: str, path: Path, **settings: Any) -> None:
    with pytest.raises(InputError, match=match):
        read(path, **settings)


def test_ids_that_stand_twice_are_refused(tmp_path: Path) -> None:
    twice = [kilt_record("q1", "When?", ("dusk", "10"))] * 2
    kilt = write_lines(tmp_path / "kilt.jsonl", *twice)
    refused(r"kilt\.jsonl, line 2: the id 'q1' stands at line 1 already", kilt, format="kilt")
    refused("the id 'e1' stands on line 1 already", write_lines(tmp_path / "e.jsonl", EXAMPLES[0], EXAMPLES[0]))


def test_questions_without_gold_are_refused_where_the_format_has_it(tmp_path: Path) -> None:
    kilt = write_lines(tmp_path / "k.jsonl", {"id": "q1", "input": "When?"})
    refused(r"line 1, field output: the question 'q1' has no gold answer\. Take the train or dev", kilt, format="kilt")
    alce = write_json(tmp_path / "a.json", [{"question": "?", "answer": " "}])
    refused("'a-1' has no answers, qa_pairs or claims, so nothing can be scored", alce, format="alce")


def test_candidates_that_are_not_there_are_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "e.jsonl", *EXAMPLES)
    refused("examples has no docs in its records", path, candidates="docs")
    some = write_lines(tmp_path / "c.jsonl", {"id": "e1", "candidates": ["lamp"]})
    refused(r"c\.jsonl: names no candidates for the question 'e2'", path, candidates=str(some))
    alce = write_json(tmp_path / "a.json", [{"question": "?", "answers": ["x"]}])
    refused("field docs: has no docs to choose from", alce, format="alce", candidates="docs")


def test_a_set_without_questions_is_refused(tmp_path: Path) -> None:
    refused("holds no questions", write_lines(tmp_path / "e.jsonl"))
    refused("no such file", tmp_path / "nowhere.jsonl")


def test_figures_that_a_set_cannot_give_are_refused(tmp_path: Path) -> None:
    record = kilt_record("q1", "When?", ("dusk", "10"))
    del record["output"][0]["provenance"]
    path = write_lines(tmp_path / "k.jsonl", record)
    for metric, needs in (
        ("r_precision", "names the passages or pages that support its answers"),
        ("kilt_f1", "is of KILT, with provenance"),
        ("str_em", "has qa_pairs"),
        ("claim_recall", "has claims"),
    ):
        settings = DatasetSettings(format="kilt", file=path, metrics=[metric])
        with pytest.raises(InputError, match=f"datasets.set.metrics: {metric} needs a set that {needs}"):
            check_metrics("set", settings, read_questions("set", settings))
    settings = DatasetSettings(format="kilt", file=path, metrics=["paper_correct"])
    with pytest.raises(InputError, match=r"paper_correct needs the paper's rule.*Set paper_correct"):
        check_metrics("set", settings, read_questions("set", settings))


QUESTIONS = [Question(id="q1", text="When?", references=("dusk",)), Question(id="q2", text="Where?")]


def submission(path: Path) -> list[Any]:
    return list(read_submission(path, "set", "theirs", QUESTIONS))


def test_a_kilt_submission_is_put_in_the_order_of_the_questions(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "guess.jsonl",
        {"id": "q2", "output": [{"answer": "", "provenance": [{"wikipedia_id": "20"}]}]},
        {"id": "q1", "output": [{"answer": "dusk"}]},
    )
    first, second = submission(path)
    assert (first.id, first.answer, first.system) == ("q1", "dusk", "theirs")
    assert (second.answer, [one.page for one in second.found]) == ("", ["20"])


def test_our_own_predictions_may_be_submitted_and_those_of_other_sets_are_passed_over(tmp_path: Path) -> None:
    def line(dataset: str, name: str) -> dict[str, Any]:
        return {"dataset": dataset, "system": "pair", "id": name, "answer": "dusk"}

    path = write_lines(tmp_path / "p.jsonl", line("other", "q9"), line("set", "q1"), line("set", "q2"))
    assert [one.id for one in submission(path)] == ["q1", "q2"]


def test_alce_results_cite_by_marks(tmp_path: Path) -> None:
    data = [
        {"question": "When?", "output": " It is lit at dusk [1][2]. Always [4].\nMore.", "docs": DOCS},
        {"question": "Where?", "output": "", "docs": DOCS},
    ]
    first, second = submission(write_json(tmp_path / "results.json", {"args": {}, "data": data}))
    assert first.answer == "It is lit at dusk. Always."
    said = [(first.answer[one.start : one.end], one.passage_id) for one in first.citations]
    assert said == [("It is lit at dusk.", "0"), ("It is lit at dusk.", "1"), ("Always.", "None")]
    assert [one.id for one in first.passages] == ["0", "1", "2"]
    assert (second.id, second.answer) == ("q2", "")


@pytest.mark.parametrize(
    ("records", "match"),
    [
        ([("q1", "x"), ("q9", "x")], "line 2: the set set has no question 'q9'"),
        ([("q1", "x"), ("q1", "y")], "line 2: the question 'q1' has a prediction already"),
        ([("q2", "x")], "has no prediction for 1 of 2 questions, the first 'q1'. Predict each"),
    ],
)
def test_submissions_that_do_not_fit_the_questions_are_refused(
    records: list[tuple[str, str]], match: str, tmp_path: Path
) -> None:
    lines = [{"id": name, "output": [{"answer": answer}]} for name, answer in records]
    with pytest.raises(InputError, match=match):
        submission(write_lines(tmp_path / "guess.jsonl", *lines))


def test_results_without_ids_in_another_order_are_refused(tmp_path: Path) -> None:
    data = [{"question": "Where?", "output": "x"}, {"question": "When?", "output": "x"}]
    with pytest.raises(InputError, match="'Where\\?' is not the one that stands there in the set"):
        submission(write_json(tmp_path / "results.json", {"data": data}))


def test_a_submission_of_two_guesses_for_a_question_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "guess.jsonl", {"id": "q1", "output": [{"answer": "a"}, {"answer": "b"}]})
    with pytest.raises(InputError, match="line 1, field output: List should have at most 1 item"):
        submission(path)
