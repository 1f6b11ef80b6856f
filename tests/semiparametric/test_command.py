"""Commands made of settings classes: options, arguments, files, and how they end when something is wrong."""

from pathlib import Path
from typing import Any, Literal

import pytest
import typer
from pydantic import BaseModel, ConfigDict, Field
from typer.testing import CliRunner

from cosup.cli import app as cosup_app
from semiparametric.command import settings_command
from semiparametric.errors import BusyError, PairError
from semiparametric.settings import Settings


class Stage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    max_steps: int = Field(default=1, ge=0, description="Optimiser steps.")
    shuffle: bool = Field(default=True, description="Whether the order changes.")


class Run(Settings):
    question: str = Field(min_length=1, description="The question.")
    out: Path | None = Field(default=None, description="Folder of the run.")
    top_k: int = Field(default=3, ge=1, description="Passages of a lookup.")
    rate: float = Field(default=0.5, description="Learning rate.")
    mode: Literal["fast", "exact"] = Field(default="fast", description="How to look up.")
    names: list[str] = Field(default_factory=list, description="Names.")
    check: bool = Field(default=False, description="Whether to verify first.")
    stage: Stage = Stage()


DEFAULTS: dict[str, Any] = {
    "question": "Why?",
    "out": None,
    "top_k": 3,
    "rate": 0.5,
    "mode": "fast",
    "names": [],
    "check": False,
    "stage": {"max_steps": 1, "shuffle": True},
}


class Ended(BaseModel):
    code: int
    out: str
    err: str
    settings: dict[str, Any] | None


def run(*words: str, config_argument: bool = False, arguments: tuple[str, ...] = ("question",)) -> Ended:
    app = typer.Typer()
    seen: list[Run] = []
    settings_command(app, "run", Run, arguments=arguments, config_argument=config_argument, help="Run it.")(seen.append)
    result = CliRunner().invoke(app, list(words))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ended(
        code=result.exit_code, out=result.stdout, err=result.stderr, settings=seen[0].model_dump() if seen else None
    )


def parameters() -> dict[str, Any]:
    app = typer.Typer()
    settings_command(app, "run", Run, arguments=("question",), help="Run it.")(print)
    return {parameter.opts[0]: parameter for parameter in typer.main.get_command(app).params}


def test_every_field_is_an_option_under_its_own_name_with_its_description_and_default() -> None:
    told = {name: getattr(parameter, "help", None) for name, parameter in parameters().items()}
    assert told.pop("--config") == "YAML file with settings; options and COSUP_* variables win over it."
    assert {name: text for name, text in told.items() if name.startswith("--") and "completion" not in name} == {
        "--out": "Folder of the run. (default: none)",
        "--top-k": "Passages of a lookup. (default: 3)",
        "--rate": "Learning rate. (default: 0.5)",
        "--mode": "How to look up. (default: fast)",
        "--names": "Names. (default: [])",
        "--check": "Whether to verify first. (default: false)",
        "--stage.max-steps": "Optimiser steps. (default: 1)",
        "--stage.shuffle": "Whether the order changes. (default: true)",
    }
    assert told["question"] == "The question."


def test_every_option_of_every_cosup_command_says_what_it_is() -> None:
    pending: list[tuple[str, Any]] = [("cosup", typer.main.get_command(cosup_app))]
    silent: list[str] = []
    seen = 0
    while pending:
        name, command = pending.pop()
        pending += [(f"{name} {child}", inner) for child, inner in getattr(command, "commands", {}).items()]
        silent += [f"{name} {each.opts[0]}" for each in command.params if not getattr(each, "help", None)]
        seen += not hasattr(command, "commands")
    assert silent == []
    assert seen >= 6


def test_help_shows_what_the_command_does_and_its_settings() -> None:
    ended = run("--help")
    assert ended.code == 0
    for text in ("Run it.", "QUESTION", "The question."):
        assert text in ended.out


def test_values_arrive_with_the_types_of_their_fields() -> None:
    ended = run(
        "Why?", "--out", "x", "--top-k", "7", "--rate", "1e-3", "--mode", "exact", "--names", "a", "--names", "b,c"
    )
    assert ended.settings == DEFAULTS | {
        "out": Path("x"),
        "top_k": 7,
        "rate": 0.001,
        "mode": "exact",
        "names": ["a", "b,c"],
    }


def test_what_is_not_given_has_its_default() -> None:
    assert run("Why?").settings == DEFAULTS


def test_flags_switch_on_and_off() -> None:
    ended = run("Why?", "--check", "--no-stage.shuffle", "--stage.max-steps", "0")
    assert ended.settings == DEFAULTS | {"check": True, "stage": {"max_steps": 0, "shuffle": False}}


def test_options_win_over_the_environment_and_this_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("top_k: 4\nrate: 4\nmode: exact\nstage: {max_steps: 4, shuffle: false}")
    monkeypatch.setenv("COSUP_RATE", "5")
    monkeypatch.setenv("COSUP_TOP_K", "5")
    settings = run("Why?", "--config", str(path), "--top-k", "6").settings
    stage = {"max_steps": 4, "shuffle": False}
    assert settings == DEFAULTS | {"top_k": 6, "rate": 5, "mode": "exact", "stage": stage}


def test_arguments_stand_in_the_order_they_are_named() -> None:
    settings = run("folder", "Why?", arguments=("out", "question")).settings
    assert settings == DEFAULTS | {"out": Path("folder")}


def test_the_file_can_be_the_argument(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("question: Why?\ntop_k: 4")
    settings = run(str(path), "--top-k", "5", config_argument=True, arguments=()).settings
    assert settings == DEFAULTS | {"top_k": 5}


def test_a_required_setting_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COSUP_QUESTION", "Why?")
    assert run(arguments=()).settings == DEFAULTS


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["", "--top-k", "0"],
            "Error: settings: question: String should have at least 1 character (got ''); "
            "top_k: Input should be greater than or equal to 1 (got 0)\n",
        ),
        (
            ["Why?", "--stage.max-steps", "-1"],
            "Error: settings: stage.max_steps: Input should be greater than or equal to 0 (got -1)\n",
        ),
        (
            ["Why?", "--config", "/nowhere.yaml"],
            "Error: /nowhere.yaml: cannot be read as YAML ([Errno 2] No such file or directory: '/nowhere.yaml')\n",
        ),
    ],
)
def test_a_wrong_setting_ends_with_one_line_and_code_2(words: list[str], said: str) -> None:
    ended = run(*words)
    assert (ended.code, ended.out, ended.settings) == (2, "", None)
    assert ended.err == said


@pytest.mark.parametrize(
    "words", [["Why?", "--top-k", "many"], ["Why?", "--mode", "slow"], ["Why?", "--colour", "red"], []]
)
def test_a_command_line_that_cannot_be_read_ends_with_code_2(words: list[str]) -> None:
    ended = run(*words)
    assert ended.code == 2
    assert ended.settings is None
    assert ended.err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (PairError("no pair", where="here", remedy="Train one"), 2, "Error: here: no pair. Train one\n"),
        (BusyError("another build runs", remedy="Wait"), 3, "Error: another build runs. Wait\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_an_error_of_the_run_itself_ends_with_one_line(error: BaseException, code: int, said: str) -> None:
    app = typer.Typer()

    @settings_command(app, "run", Run, arguments=("question",), help="Run it.")
    def fails(_: Run) -> None:
        raise error

    result = CliRunner().invoke(app, ["Why?"])
    assert (result.exit_code, result.stderr) == (code, said)


def test_an_error_of_the_program_is_not_hidden() -> None:
    app = typer.Typer()

    @settings_command(app, "run", Run, arguments=("question",), help="Run it.")
    def fails(_: Run) -> None:
        raise ZeroDivisionError("a bug")

    result = CliRunner().invoke(app, ["Why?"])
    assert isinstance(result.exception, ZeroDivisionError)


class Named(Settings):
    held_out: dict[str, Path] = Field(default_factory=dict, description="Files by name.")


def test_a_mapping_is_given_as_repeated_name_value_options() -> None:
    seen: list[Named] = []
    app = typer.Typer()
    settings_command(app, "go", Named, help="Go.")(seen.append)
    result = CliRunner().invoke(app, ["--held-out", "a=x.jsonl", "--held-out", "b=y=z"])
    assert result.exit_code == 0
    assert seen[0].held_out == {"a": Path("x.jsonl"), "b": Path("y=z")}
    refused = CliRunner().invoke(app, ["--held-out", "x.jsonl"])
    assert refused.exit_code == 2
    assert "'x.jsonl' is not name=value" in refused.output
