"""Documents that drift are worse than none: every file, make target, command and option that they name exists."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from cosup.cli import app
from evaluation.catalogue import METRICS
from evaluation.cli import ConfigOrCommand
from evaluation.settings import EvalSettings
from semiparametric.formats import Example, Passage
from tests.documents import DOCUMENTS, ROOT, blocks_of, commands_of, links_of
from training.settings import TrainSettings

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


@each_document
def test_every_linked_file_exists(path: Path) -> None:
    missing = [target for target in links_of(path.read_text("utf-8")) if not (path.parent / target).exists()]
    assert not missing


@each_document
def test_every_make_target_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^\.PHONY: (\S+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z][a-z-]*)", path.read_text("utf-8"), re.MULTILINE))
    assert named <= targets


@each_document
def test_every_cosup_command_and_option_named_exists(path: Path) -> None:
    for arguments in commands_of(path.read_text("utf-8"), "cosup"):
        assert_known(get_command(app), arguments)


def assert_known(command: Any, arguments: list[str]) -> None:
    """Follow the words to the command they name, then look for each option among the command's own."""
    while isinstance(command, TyperGroup) and arguments and not arguments[0].startswith("-"):
        if isinstance(command, ConfigOrCommand) and arguments[0] not in command.commands:
            arguments = [command.default, *arguments]
        assert arguments[0] in command.commands, f"no command {arguments[0]!r} in {command.name}"
        command, arguments = command.commands[arguments[0]], arguments[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.split("=")[0] for word in arguments if word.startswith("--")}
    assert used <= known | {"--help"}, f"{command.name} has no {', '.join(sorted(used - known))}"


def test_the_checks_see_what_they_are_for() -> None:
    text = "See [a](a.md#part), [b](https://example.org/b).\n\n```bash\n.venv/bin/cosup index build \\\n --pair p\n```"
    assert links_of(text) == ["a.md"]
    assert commands_of(text, "cosup") == [["index", "build", "--pair", "p"]]
    with pytest.raises(AssertionError, match="has no --pear"):
        assert_known(get_command(app), ["index", "build", "--pear", "p"])
    with pytest.raises(AssertionError, match="no command 'indx'"):
        assert_known(get_command(app), ["indx", "build"])


def test_the_records_shown_as_formats_are_valid() -> None:
    passage, example = blocks_of((ROOT / "docs" / "formats.md").read_text("utf-8"), "json")
    shown = Passage.model_validate_json(passage)
    assert [segment.passage_id for segment in Example.model_validate_json(example).cited] == [shown.id]


def test_the_settings_shown_for_training_are_valid(tmp_path: Path) -> None:
    (shown,) = blocks_of((ROOT / "docs" / "train.md").read_text("utf-8"), "yaml")
    (tmp_path / "config.yaml").write_text(shown, "utf-8")
    needed = {"out": "runs/own", "corpus": ["corpus.jsonl"], "train": ["train.jsonl"]}
    assert TrainSettings.resolve(needed, tmp_path / "config.yaml").lookups.steps == 0


def test_the_settings_shown_for_evaluation_are_valid(tmp_path: Path) -> None:
    (shown,) = blocks_of((ROOT / "docs" / "evaluate.md").read_text("utf-8"), "yaml")
    (tmp_path / "config.yaml").write_text(shown, "utf-8")
    assert EvalSettings.resolve({}, tmp_path / "config.yaml").datasets.keys() == {"manuals", "nq", "asqa"}


def test_every_figure_of_an_evaluation_is_explained() -> None:
    told = (ROOT / "docs" / "evaluate.md").read_text("utf-8")
    assert not [metric.name for metric in METRICS if f"`{metric.name}`" not in told]
