"""`cosup corpus documents`: a folder becomes the corpus file that training reads."""

from pathlib import Path

from typer.testing import CliRunner

from index_builder.corpus import read_corpus
from index_builder.corpus_cli import corpus_app
from index_builder.pair_tokens import by_tokens
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


def test_with_a_pair_it_has_the_passages_of_an_index_for_that_pair(tiny_pair: Path, tmp_path: Path) -> None:
    folder, out = documents(tmp_path / "handbook"), tmp_path / "corpus.jsonl"
    command = ["documents", "--documents", str(folder), "--out", str(out), "--pair", str(tiny_pair)]
    result = CliRunner().invoke(corpus_app, [*command, "--passage-tokens", "32", "--overlap-tokens", "16"])
    assert result.exit_code == 0, result.output
    assert list(read_passages(out)) == list(read_corpus([folder], Reading(by_tokens(tiny_pair, 32, 16))))


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    folder, out = documents(tmp_path / "handbook"), tmp_path / "corpus.jsonl"
    for name in ("ropes", "ropes-copy"):
        (folder / f"{name}.txt").write_text(" ".join(f"Rope {n} holds boat {n + 1}." for n in range(20)))
    (folder / "image.txt").write_bytes(b"\x89PNG\0")
    command = ["documents", "--documents", str(folder), "--out", str(out), "--on-error", "skip"]
    result = CliRunner().invoke(corpus_app, [*command, "--near-duplicates", "0.9"])
    assert result.exit_code == 0, result.output
    assert f"{out}: 4 passages, 1 rejected, 1 near duplicates" in result.output
    assert "is a binary file" in (tmp_path / "corpus-rejects.jsonl").read_text()


def test_a_folder_without_documents_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    out = tmp_path / "corpus.jsonl"
    result = CliRunner().invoke(corpus_app, ["documents", "--documents", str(tmp_path / "empty"), "--out", str(out)])
    assert result.exit_code == 2
    assert "no document to read: it is empty" in result.output
    assert not out.exists()
