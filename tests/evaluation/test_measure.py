"""A pair measured on questions, with the real engine and store; BM25 on the same."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from evaluation.measure import asked, measure_bm25, measure_pair
from evaluation.questions import question_of
from semiparametric.errors import CosupError, StoreError
from semiparametric.formats import Example, Segment
from service.local import Ask, ModelSettings
from tests.small_index import PASSAGES, build_small_index

EXAMPLES = [
    Example(id="e1", question="When is the lamp lit?", segments=[Segment(text="At dusk.", passage_id="lamp")]),
    Example(
        id="e2",
        question="What does the wheel follow?",
        answers=["the tide"],
        segments=[Segment(text="The tide.", passage_id="wheel")],
    ),
]
QUESTIONS = [question_of(example) for example in EXAMPLES]


def test_a_pair_is_measured_on_lookups_and_answers(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index")
    predictions = tmp_path / "predictions.jsonl"
    done: list[int] = []
    figures = measure_pair(
        ModelSettings(pair=tiny_pair, index=index),
        QUESTIONS,
        Ask("", retrieval="first", max_new_tokens=8),
        num_answered=1,
        predictions=predictions,
        on_reply=lambda: done.append(1),
    )
    first, second = map(json.loads, predictions.read_text("utf-8").splitlines())
    assert len(done) == figures.questions == 2
    assert figures.answered == 1
    found = [[one["id"] for one in line["found"]] for line in (first, second)]
    assert sorted(found[0]) == sorted(passage.id for passage in PASSAGES)  # all four, of five wanted
    assert figures.recall_at_5 == 1.0
    assert figures.recall_at_1 == (int(found[0][0] == "lamp") + int(found[1][0] == "wheel")) / 2
    assert figures.f1 == first["scores"]["f1"]
    assert figures.cites_gold == float(first["passages"][0]["id"] == "lamp")
    assert "answer" not in second


def test_without_answers_their_figures_do_not_apply(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index")
    figures = measure_pair(ModelSettings(pair=tiny_pair, index=index), QUESTIONS, Ask(""), num_answered=0)
    assert figures.answered == 0
    assert figures.f1 is figures.right is figures.grounded is figures.right_on_wrong_lookup is None


def test_a_question_too_long_for_the_context_is_refused_alone_and_counts_as_wrong(
    tiny_pair: Path, tmp_path: Path
) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index")
    long = replace(QUESTIONS[0], id="long", text="lamp " * 2000)
    figures = measure_pair(
        ModelSettings(pair=tiny_pair, index=index),
        [long, QUESTIONS[1]],
        Ask("", max_new_tokens=4),
        predictions=tmp_path / "predictions.jsonl",
    )
    assert (figures.refused, figures.answered) == (1, 2)
    assert figures.recall_at_5 == 0.5
    assert "the limit is" in json.loads((tmp_path / "predictions.jsonl").read_text("utf-8").splitlines()[0])["refusal"]


def test_an_index_of_another_pair_is_refused(tiny_pair: Path, tmp_path: Path) -> None:
    index = build_small_index(tiny_pair, tmp_path / "index", fingerprint="another")
    with pytest.raises(StoreError, match="'another'"):
        measure_pair(ModelSettings(pair=tiny_pair, index=index), QUESTIONS, Ask(""))


def test_only_examples_that_cite_are_asked_in_an_order_that_is_always_the_same() -> None:
    plain = Example(id="plain", question="Why?", segments=[Segment(text="Because.")])
    many = [EXAMPLES[0].model_copy(update={"id": f"e{number}"}) for number in range(50)]
    drawn = asked([plain, *many], 10)
    assert [question.id for question in drawn] == [question.id for question in asked([plain, *many], 20)][:10]
    assert len(asked([plain, *many], None)) == 50


def test_a_placeholder_is_no_answer_to_be_right_by(tiny_pair: Path, tmp_path: Path) -> None:
    silent = EXAMPLES[0].model_copy(
        update={
            "answers": ["NA"],
            "segments": [Segment(text="NA", passage_id="lamp")],
            "question": "Who made the lamp?",
        }
    )
    (question,) = asked([silent], None, ["NA"])
    index = build_small_index(tiny_pair, tmp_path / "index")
    figures = measure_pair(ModelSettings(pair=tiny_pair, index=index), [question], Ask("", max_new_tokens=4))
    assert figures.recall_at_5 == 1.0
    assert figures.f1 is figures.exact_match is figures.right is None


def test_bm25_finds_passages_by_their_words() -> None:
    figures = measure_bm25(PASSAGES, QUESTIONS)
    assert figures.recall_at_1 == 1.0
    assert figures.f1 is None


def test_bm25_without_its_libraries_is_refused_with_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "bm25s", None)
    with pytest.raises(CosupError, match=r"bm25s, which is not installed.*pip install 'cosup\[eval\]'"):
        measure_bm25(PASSAGES, QUESTIONS)
