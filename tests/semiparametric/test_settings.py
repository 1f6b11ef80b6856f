"""Where settings come from, which source wins, and how wrong ones are told."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from semiparametric.errors import InputError
from semiparametric.settings import Settings


class Stage(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=1, ge=0, description="Steps.")
    rate: float = Field(default=0.5, description="Rate.")


class Run(Settings):
    out: Path = Field(description="Folder.")
    top_k: int = Field(default=3, ge=1, description="Passages.")
    names: list[str] = Field(default_factory=list, description="Names.")
    stage: Stage = Stage()


def yaml_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("given", "environment", "yaml", "expected"),
    [
        ({"top_k": 7}, "8", "top_k: 9", 7),
        ({}, "8", "top_k: 9", 8),
        ({}, None, "top_k: 9", 9),
        ({}, None, "", 3),
        ({"top_k": 7}, None, "", 7),
        ({}, "8", "", 8),
        ({"top_k": 7}, "8", "", 7),
        ({"top_k": 7}, None, "top_k: 9", 7),
    ],
)
def test_the_command_line_wins_over_the_environment_over_yaml_over_the_default(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any],
    environment: str | None,
    yaml: str,
    expected: int,
) -> None:
    if environment:
        monkeypatch.setenv("COSUP_TOP_K", environment)
    assert Run.resolve(given, yaml_file(tmp_path, f"out: x\n{yaml}")).top_k == expected


def test_nested_settings_are_joined_field_by_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = yaml_file(tmp_path, "out: x\nstage: {steps: 10, rate: 0.1}")
    assert Run.resolve({}, path).stage == Stage(steps=10, rate=0.1)
    monkeypatch.setenv("COSUP_STAGE__STEPS", "20")
    assert Run.resolve({}, path).stage == Stage(steps=20, rate=0.1)
    assert Run.resolve({"stage": {"rate": 0.9}}, path).stage == Stage(steps=20, rate=0.9)
    assert Run.resolve({"out": "x", "stage": {"rate": 0.9}}).stage == Stage(steps=20, rate=0.9)


def test_a_list_comes_whole_from_the_strongest_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = yaml_file(tmp_path, "out: x\nnames: [a, b]")
    assert Run.resolve({}, path).names == ["a", "b"]
    monkeypatch.setenv("COSUP_NAMES", '["c"]')
    assert Run.resolve({}, path).names == ["c"]
    assert Run.resolve({"names": ["d", "e"]}, path).names == ["d", "e"]


def test_a_second_file_leaves_no_trace_in_the_class(tmp_path: Path) -> None:
    assert Run.resolve({}, yaml_file(tmp_path, "out: x\ntop_k: 9")).top_k == 9
    assert Run.resolve({"out": "x"}).top_k == 3


def test_other_variables_and_a_dotenv_file_are_not_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("COSUP_TOP_K=99\n")
    monkeypatch.setenv("TOP_K", "98")
    monkeypatch.setenv("COSUP_NOBODY_KNOWS", "97")
    assert Run.resolve({"out": "x"}).model_dump() == {
        "out": Path("x"),
        "top_k": 3,
        "names": [],
        "stage": {"steps": 1, "rate": 0.5},
    }


def test_settings_cannot_be_changed_afterwards() -> None:
    settings = Run.resolve({"out": "x"})
    with pytest.raises(ValueError, match="frozen"):
        settings.top_k = 5  # type: ignore[misc]


def test_all_wrong_settings_are_told_at_once_with_file_name_and_value(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "topk: 3\nstage: {steps: -1, stpes: 4}\nnames: a")
    with pytest.raises(InputError) as caught:
        Run.resolve({"top_k": 0}, path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    for problem in (
        "out: Field required",
        "top_k: Input should be greater than or equal to 1 (got 0)",
        "stage.steps: Input should be greater than or equal to 0 (got -1)",
        "stage.stpes: Extra inputs are not permitted",
        "names: Input should be a valid list (got 'a')",
        "topk: Extra inputs are not permitted",
    ):
        assert problem in said
    assert "\n" not in said


def test_wrong_settings_without_a_file_are_told_as_settings() -> None:
    with pytest.raises(InputError, match=r"^settings: out: Field required$"):
        Run.resolve({})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("COSUP_TOP_K", "many", r"top_k: .*valid integer.*\(got 'many'\)"),
        ("COSUP_STAGE__RATE", "fast", r"stage.rate: .*valid number.*\(got 'fast'\)"),
        ("COSUP_NAMES", "a,b", r'environment: .*"names".*JSON'),
        ("COSUP_STAGE", "{", r'environment: .*"stage".*JSON'),
    ],
)
def test_a_wrong_environment_variable_is_told(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InputError, match=said):
        Run.resolve({"out": "x"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b", "a settings file holds `name: value` lines"),
        ("just words", "a settings file holds `name: value` lines"),
        ("1: 2\nout: x", "the name 1 is not text.*`name: value` lines"),
        ("out: [", "cannot be read as YAML"),
        ("out: !!python/object:os.system {}", "cannot be read as YAML"),
    ],
)
def test_a_file_that_is_no_mapping_of_names_is_refused_by_its_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=rf"run\.yaml: {said}"):
        Run.resolve({}, yaml_file(tmp_path, text))


def test_a_missing_or_undecodable_file_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml: cannot be read as YAML .*No such file"):
        Run.resolve({}, tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"out: caf\xe9")
    with pytest.raises(InputError, match=r"latin\.yaml: cannot be read as YAML"):
        Run.resolve({}, tmp_path / "latin.yaml")


def test_an_empty_file_means_all_defaults(tmp_path: Path) -> None:
    found = Run.resolve({"out": "x"}, yaml_file(tmp_path, "# nothing yet\n"))
    assert found.model_dump() == Run.resolve({"out": "x"}).model_dump()
