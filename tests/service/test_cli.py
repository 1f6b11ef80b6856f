"""`cosup ask` and the options of `cosup serve`, run as the commands they are."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from service.cli import add_commands
from service.schemas import GenerateResponse
from tests.small_index import PASSAGES, build_small_index

app = typer.Typer(pretty_exceptions_enable=False)
add_commands(app)

QUESTION = "What does the keeper write down?"


@pytest.fixture(scope="module")
def where(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    index = build_small_index(tiny_pair, tmp_path_factory.mktemp("index") / "small")
    return ["--pair", str(tiny_pair), "--index", str(index)]


def ask(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["ask", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_ask_prints_the_answer_with_a_mark_and_the_passage_below(where: list[str]) -> None:
    code, shown, _ = ask(QUESTION, *where, "--retrieval", "first", "--max-new-tokens", "12")
    assert code == 0
    answer, passage = shown.split("\n\n", 1)
    assert answer.endswith(" [1]")
    found = next(one for one in PASSAGES if f"[1] {one.title}" in passage)
    assert found.text in passage
    assert found.id in passage
    assert "\x1b" not in shown  # no colour where the output is no terminal


def test_ask_as_json_prints_what_the_service_answers(where: list[str]) -> None:
    code, shown, _ = ask(QUESTION, *where, "--retrieval", "first", "--max-new-tokens", "12", "--as-json")
    assert code == 0
    response = GenerateResponse.model_validate(json.loads(shown))
    assert response.usage.completion_tokens == 12
    assert response.index.name == "small"


def test_ask_says_when_nothing_good_enough_was_found(where: list[str]) -> None:
    code, shown, _ = ask(QUESTION, *where, "--retrieval", "first", "--min-score", "2", "--max-new-tokens", "4")
    assert code == 0
    assert "nothing good enough to cite" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((" ",), "Error: question: is empty. Ask something"),
        ((QUESTION, "--top-k", "0"), "top_k: Input should be greater than or equal to 1 (got 0)"),
        ((QUESTION, "--retrieval", "first", "--threads", "0"), "threads: Input should be greater than or equal to 1"),
        ((QUESTION, "--device", "gpu"), "device 'gpu' is none of cpu, cuda"),
        ((QUESTION, "--context-length", "100000"), "100000 is too long"),
    ],
)
@pytest.mark.bad_input
def test_ask_ends_with_one_clear_line_for_a_wrong_setting(
    where: list[str], arguments: tuple[str, ...], message: str
) -> None:
    code, _, complaint = ask(*arguments, *where)
    assert code == 2
    assert message in complaint
    assert "Traceback" not in complaint


def test_ask_without_pair_and_index_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COSUP_PAIR", raising=False)
    monkeypatch.delenv("COSUP_INDEX", raising=False)
    code, _, complaint = ask(QUESTION)
    assert code == 2
    assert "Error: settings: pair and index: needed to answer here; or give the --url of a running service" in complaint


def test_pair_and_index_may_come_from_the_environment(where: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSUP_PAIR", where[1])
    monkeypatch.setenv("COSUP_INDEX", where[3])
    code, shown, _ = ask(QUESTION, "--max-new-tokens", "2", "--as-json")
    assert code == 0
    assert json.loads(shown)["usage"]["completion_tokens"] == 2


def test_serve_shows_every_setting_with_its_default() -> None:
    shown = CliRunner().invoke(app, ["serve", "--help"], env={"COLUMNS": "200"}).stdout
    for option in (
        "--pair",
        "--index",
        "--port",
        "--max-sessions",
        "--queue",
        "--max-body-bytes",
        "--drain-s",
        "--config",
    ):
        assert option in shown
    assert "default: 262144" in shown
