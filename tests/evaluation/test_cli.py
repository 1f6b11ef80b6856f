"""`cosup eval` on the command line: a config, a comparison, and settings that are refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from cosup.cli import app
from tests.evaluation.sets import EXAMPLES, write_corpus, write_lines


def write_config(folder: Path, **said: Any) -> Path:
    dataset = {"file": str(write_lines(folder / "e.jsonl", *EXAMPLES)), "corpus": str(write_corpus(folder / "c.jsonl"))}
    few = {"decoding": {"max_new_tokens": 4, "retrieval": "first"}, "resamples": 100}
    settings = {"out": str(folder / "out"), "datasets": {"small": dataset}} | few | said
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    return path


def cosup(*words: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, words)])


def test_a_config_becomes_a_report_and_systems_can_be_compared(tiny_pair: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, systems=["pair", "closed-book"])
    out = tmp_path / "elsewhere"
    ended = cosup(config, "--pair", tiny_pair, "--out", out, "--limit", 2)
    assert ended.exit_code == 0, ended.output
    assert f"The report is {out / 'report.md'}" in ended.output.replace("\n", "")
    assert len((out / "predictions.jsonl").read_text("utf-8").splitlines()) == 4
    page = tmp_path / "compared.md"
    compared = cosup("compare", out, f"{out}:closed-book", "--resamples", 100, "--out", page)
    assert compared.exit_code == 0, compared.output
    assert page.read_text("utf-8") in compared.output
    assert f"# {out}:pair against {out}:closed-book" in compared.output


def test_a_dry_run_reads_the_sets_and_asks_nobody(tmp_path: Path) -> None:
    ended = cosup("run", write_config(tmp_path), "--pair", "nowhere", "--dry-run")
    assert ended.exit_code == 0, ended.output
    assert "small: 3 questions" in ended.output
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({}, "give a pair on this machine or the url of a service, one of the two"),
        ({"pair": "p", "url": "http://x"}, "give a pair on this machine or the url of a service, one of the two"),
        ({"systems": []}, "systems and predictions are both empty"),
        ({"pair": "p", "systems": ["pair", "pair"]}, "each may stand once"),
        ({"pair": "p", "systems": ["dense"]}, "needs the folder of a sentence-transformers model"),
        (
            {"pair": "p", "systems": ["pair"], "datasets": {"a": {"file": "f", "without": ["dense"]}}},
            r"datasets.a.without: ['dense'] are not all among systems",
        ),
        ({"pair": "p", "predictions": {"bm25": {}}}, "predictions are named as a system is: 'bm25'"),
        ({"pair": "p", "predictions": {"x": {"other": "f"}}}, "given for 'other', which is none of the datasets"),
        ({"pair": "p", "datasets": {"a/b": {"file": "f"}}}, "files are named after it"),
        ({"pair": "p", "datasets": {"a": {"file": "f", "metrics": ["bleu"]}}}, "there is no metric 'bleu'"),
        ({"url": "u", "datasets": {"a": {"file": "f", "instruction": "x"}}}, "a service keeps its pair's instruction"),
        ({"url": "u", "datasets": {"a": {"file": "f"}}}, "bm25, dense and oracle need the corpus"),
    ],
)
def test_settings_that_make_no_sense_are_refused(said: dict[str, Any], match: str, tmp_path: Path) -> None:
    ended = cosup(write_config(tmp_path, **said))
    assert ended.exit_code == 2
    assert match in ended.output.replace("\n", " ")


def test_r_precision_of_a_set_without_provenance_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    plain = {"id": "e1", "question": "When?", "answers": ["at dusk"], "segments": []}
    dataset = {"file": str(write_lines(tmp_path / "plain.jsonl", plain)), "metrics": ["r_precision"]}
    config = write_config(tmp_path, datasets={"plain": dataset})
    for words in ([config, "--pair", "nowhere"], [config, "--pair", "nowhere", "--dry-run"]):
        ended = cosup(*words)
        assert ended.exit_code == 2
        assert "datasets.plain.metrics: r_precision needs a set that names the passages or pages" in ended.output


def test_a_judge_that_is_not_there_is_refused_with_what_needs_none(tmp_path: Path) -> None:
    ended = cosup(write_config(tmp_path), "--pair", "nowhere", "--judge", "nli")
    assert ended.exit_code == 2
    assert "judge nli: there is no NLI model" in ended.output
    assert "or 'lexical', which needs none" in ended.output


def test_a_pair_that_is_not_there_is_refused(tmp_path: Path) -> None:
    ended = cosup(write_config(tmp_path), "--pair", tmp_path / "nowhere")
    assert ended.exit_code == 2
    assert "not a pair: there is no pair.json" in ended.output
