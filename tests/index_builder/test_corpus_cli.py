"""`cosup corpus documents`: a folder becomes the corpus file that training reads."""

from pathlib import Path

from typer.testing import CliRunner

from index_builder.corpus import read_corpus
from index_builder.corpus_cli import corpus_app
from index_builder.reading import Reading
from index_builder.splitting import by_words
from semiparametric.formats import read_passages


def documents(folder: Path) -> Path:
    folder.mkdir()
    (folder / "keys.md").write_text("# Keys\n\nThey hang in the porch.\n\n## Lost keys\n\nTell Ann. She has more.\n")
    (folder / "bell.txt").write_text("The bell is rung in fog. " * 9)
    return folder


def test_a_folder_becomes_the_passages_that_an_index_of_it_has(tmp_path: Path) -> None:
    folder, out = documents(tmp_path / "handbook"), tmp_path / "corpus.jsonl.gz"
    command = ["documents", "--documents", str(folder), "--out", str(out), "--passage-words", "20"]
    result = CliRunner().invoke(corpus_app, command)
    assert result.exit_code == 0, result.output
    assert result.output.strip() == f"{out}: 5 passages"
    passages = list(read_passages(out))
    assert passages == list(read_corpus([folder], Reading(by_words(20))))
    assert [passage.title for passage in passages][-2:] == ["Keys", "Keys > Lost keys"]


def test_a_folder_without_documents_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "corpus.jsonl"
    result = CliRunner().invoke(corpus_app, ["documents", "--documents", str(tmp_path / "empty"), "--out", str(out)])
    assert result.exit_code == 2
    assert "no document to read: it is empty" in result.output
    assert not out.exists()
