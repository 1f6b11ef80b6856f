"""Answers cut into sentences: the same ones whatever the number of processes, which end with the work."""

import logging
import subprocess
import sys

import psutil
import pytest

from evaluation.cutting import Cut, cut_all
from evaluation.predictions import Cited, Prediction, Read
from evaluation.questions import Question

LAMP = Read(id="lamp", title="Lamp", text="It burns at dusk.")


def answered(number: int) -> tuple[Question, Prediction]:
    """An answer of two sentences, of which the second is cited; a tenth of them say the same."""
    said = f"Dr. Ames trims lamp {number - number % 10} (see p. {number % 7}) at dusk. "
    whole = said + f"It is {number - number % 10} m high, e.g. in storms."
    cited = Cited(start=len(said), end=len(whole), passage_id="lamp")
    return Question(id=str(number), text="?"), Prediction(
        dataset="d", system="pair", id=str(number), answer=whole, citations=[cited], passages=[LAMP]
    )


def cut_alone(number: int) -> Cut:
    (one,) = cut_all([answered(number)])
    return one


def test_a_sentence_of_an_answer_has_the_passage_that_it_cites() -> None:
    first, second = cut_alone(20).statements
    assert (first.text.strip(), second.text) == (
        "Dr. Ames trims lamp 20 (see p. 6) at dusk.",
        "It is 20 m high, e.g. in storms.",
    )
    assert not first.passages
    assert len(second.passages) == 1


def test_thousands_of_answers_are_cut_as_one_is_and_no_process_is_left() -> None:
    count = 8000  # characters enough for several processes
    cuts = cut_all([answered(number) for number in range(count)])
    assert len(cuts) == count
    for number in (0, 1, 4999, 5000, 7999):
        assert cuts[number] == cut_alone(number)
    running = [child.cmdline() for child in psutil.Process().children(recursive=True) if child.status() != "zombie"]
    assert not [command for command in running if any("popen_loky" in part for part in command)]


def test_without_the_extra_one_core_cuts_them_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    several = cut_all([answered(number) for number in range(8000)])
    monkeypatch.setitem(sys.modules, "loky", None)
    with caplog.at_level(logging.WARNING):
        assert cut_all([answered(number) for number in range(8000)]) == several
    assert "pip install 'cosup[eval]'" in caplog.text


def test_a_process_that_cuts_sentences_need_not_load_torch() -> None:
    check = "import sys, semiparametric.sentences; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
