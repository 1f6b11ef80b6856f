"""The rejects of a reading: what is written, counted and cleared, and the settings that say so."""

import json
import logging
from pathlib import Path

import pytest
from typer.testing import CliRunner

from index_builder.corpus import read_corpus
from index_builder.corpus_cli import corpus_app
from index_builder.reading import Reading, reading_for
from index_builder.reading_settings import ReadingSettings
from index_builder.rejects import Rejects
from index_builder.splitting import by_words
from semiparametric.errors import InputError


def corpus(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def test_each_reading_counts_anew_and_replaces_the_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = corpus(tmp_path / "bad.jsonl", "{", '{"id": "1", "text": "One."}', "[]")
    good = corpus(tmp_path / "good.jsonl", '{"id": "1", "text": "One."}')
    rejects = Rejects("skip", tmp_path / "out" / "rejects.jsonl")
    reading = Reading(by_words(100), rejects=rejects)
    for _ in range(2):
        assert len(list(read_corpus([bad], reading))) == 1
        assert rejects.count == 2
        written = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
        assert [(entry["where"], entry["raw"]) for entry in written] == [
            (f"{bad}, line 1", "{"),
            (f"{bad}, line 3", "[]"),
        ]
    assert f"2 records were rejected, see {tmp_path}/out/rejects.jsonl" in caplog.text
    assert len(list(read_corpus([good], reading))) == 1
    assert rejects.count == 0
    assert not (tmp_path / "out" / "rejects.jsonl").exists()


def test_a_reading_that_is_left_early_keeps_what_it_has_written(tmp_path: Path) -> None:
    bad = corpus(tmp_path / "bad.jsonl", "{", '{"id": "1", "text": "One."}', "[]")
    rejects = Rejects("skip", tmp_path / "rejects.jsonl")
    passages = read_corpus([bad], Reading(by_words(100), rejects=rejects))
    next(passages)
    passages.close()  # type: ignore[attr-defined]
    assert len((tmp_path / "rejects.jsonl").read_text().splitlines()) == 1


def test_without_a_file_rejects_are_only_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bad = corpus(tmp_path / "bad.jsonl", "{", '{"id": "1", "text": "One."}')
    settings = ReadingSettings(corpus=bad, on_error="skip", rejects=tmp_path / "never.jsonl")
    pair = Path(__file__).parents[2] / "models" / "nano"
    reading = reading_for(settings, pair=pair, out=tmp_path / "index", dry_run=True)
    with caplog.at_level(logging.WARNING):
        assert len(list(read_corpus(settings.corpus, reading))) == 1
    assert reading.counts == {"rejected": 1}
    assert "1 records were rejected" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


def test_settings_say_where_rejects_go(tmp_path: Path) -> None:
    pair = Path(__file__).parents[2] / "models" / "nano"
    for given, path in ((None, tmp_path / "index" / "rejects.jsonl"), (tmp_path / "r.jsonl", tmp_path / "r.jsonl")):
        settings = ReadingSettings(corpus=tmp_path, on_error="skip", rejects=given, near_duplicates=0.9, format="beir")
        reading = reading_for(settings, pair=pair, out=tmp_path / "index")
        assert (reading.rejects.on_error, reading.rejects.path, reading.format) == ("skip", path, "beir")
        assert reading.counts == {"rejected": 0, "near_duplicates": 0}


@pytest.mark.parametrize(
    ("environment", "paths"),
    [("a.jsonl", ["a.jsonl"]), ('["a.jsonl", "b c"]', ["a.jsonl", "b c"]), ("[broken", None), ("[]", None)],
)
def test_one_path_or_several_may_be_given(
    environment: str, paths: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ReadingSettings.resolve({"corpus": "one"}).corpus == [Path("one")]
    assert ReadingSettings.resolve({"corpus": ["one", "two"]}).corpus == [Path("one"), Path("two")]
    monkeypatch.setenv("COSUP_CORPUS", environment)
    if paths is None:
        with pytest.raises(InputError, match="corpus"):
            ReadingSettings.resolve({})
    else:
        assert ReadingSettings.resolve({}).corpus == [Path(path) for path in paths]


@pytest.mark.bad_input
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--near-duplicates", "1.5"], "near_duplicates: Input should be less than or equal to 1"),
        (["--on-error", "ignore"], "'ignore' is not one of 'stop', 'skip'"),
        (["--format", "csv"], "'csv' is not one of"),
        (["--passage-tokens", "100"], "passage_tokens and overlap_tokens are those of a pair, and none is named"),
        (["--pair", "models/nano", "--passage-words", "100"], "measure without a pair, and one is named"),
        (["--overlap-words", "61"], "overlap_words may be half of passage_words at most, 60"),
        (["--pair", "models/none"], "not a pair"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, options: list[str], said: str) -> None:
    source = corpus(tmp_path / "a.txt", "Text.")
    command = ["documents", "--documents", str(source), "--out", str(tmp_path / "out.jsonl"), *options]
    result = CliRunner().invoke(corpus_app, command, env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert said in result.output
    assert not (tmp_path / "out.jsonl").exists()
