"""Bad records, bad files and files that change: named, refused, or skipped, counted and written down."""

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index_builder.corpus import LONGEST_TEXT, read_corpus
from index_builder.reading import Reading
from index_builder.reading_settings import Format
from index_builder.rejects import Rejects
from index_builder.splitting import by_words, count_words
from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Passage

pytestmark = pytest.mark.bad_input

GOOD = b'{"id": "good", "text": "The tide turns."}\n'


def read(*paths: Path, form: Format = "auto", words: int = 100) -> list[Passage]:
    return list(read_corpus(paths, Reading(by_words(words), form)))


def skipped(*paths: Path, form: Format = "auto") -> tuple[list[str], list[dict[str, str]]]:
    """The ids that are read with `skip`, and the rejects."""
    file = paths[0].parent / "rejects.out"
    reading = Reading(by_words(100), form, Rejects("skip", file))
    ids = [passage.id for passage in read_corpus(paths, reading)]
    rejects = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    assert reading.counts == {"rejected": len(rejects)}
    return ids, rejects


BAD_LINES: list[tuple[str, str, bytes, str, str]] = [
    ("jsonl", "c.jsonl", b'{"id": "b", "text": "x"', "line 2", "Invalid JSON: EOF while parsing"),
    ("jsonl", "c.jsonl", b'{"id": "b"}', "line 2, field text", "Field required"),
    ("jsonl", "c.jsonl", b'{"id": "b", "text": 3}', "line 2, field text", "Input should be a valid string"),
    ("jsonl", "c.jsonl", b'{"id": "b", "text": " \\n"}', "line 2, field text", "the text is blank"),
    ("jsonl", "c.jsonl", b'{"id": "good", "text": "x"}', "line 2, field id", "the id 'good' stands on line 1 already"),
    ("jsonl", "c.jsonl", b'{"id": "b", "text": "\xff"}', "line 2", "byte 21 of the line (0xff) is not UTF-8"),
    ("beir", "c.jsonl", b'{"_id": "b", "text": ""}', "line 2, field text", "String should have at least 1 character"),
    ("beir", "c.jsonl", b'{"_id": "b", "title": "x"}', "line 2, field text", "Field required"),
    ("kilt", "c.json", b'{"wikipedia_id": "7", "text": []}', "line 2, field wikipedia_title", "Field required"),
    (
        "kilt",
        "c.json",
        b'{"wikipedia_id": "7", "wikipedia_title": "T", "text": ["T", {}]}',
        "line 2, field text.1",
        "Input",
    ),
    ("alce", "c.jsonl", b'{"docs": [{"title": "T"}]}', "record 2, field docs.0.text", "Field required"),
    ("alce", "c.jsonl", b'"docs"', "record 2", "Input should be a valid dictionary"),
    ("dpr", "c.tsv", b"b\tonly two", "line 2", "2 columns"),
    ("dpr", "c.tsv", b"b\t\tTitle", "line 2, field text", "String should have at least 1 character"),
    ("dpr", "c.tsv", b'b\t"quoted over', "line 2", "2 columns"),
    ("dpr", "c.tsv", b"b\t\xff\tTitle", "line 2", "byte 2 of the line (0xff) is not UTF-8"),
]

FIRST = {
    "jsonl": GOOD,
    "beir": b'{"_id": "good", "text": "The tide turns."}\n',
    "kilt": b'{"wikipedia_id": "1", "wikipedia_title": "Tide", "text": ["Tide", "It turns."]}\n',
    "alce": b'{"id": "good", "text": "The tide turns."}\n',
    "dpr": b"good\tThe tide turns.\tTide\n",
}


@pytest.mark.parametrize(("form", "name", "line", "place", "why"), BAD_LINES)
def test_a_bad_record_stops_by_file_line_and_field_or_is_skipped(
    tmp_path: Path, form: Format, name: str, line: bytes, place: str, why: str
) -> None:
    path = tmp_path / name
    last = FIRST[form].replace(b"good", b"last").replace(b'"1"', b'"2"')
    path.write_bytes(FIRST[form] + line + b"\n" + last)
    with pytest.raises(InputError) as caught:
        read(path, form=form)
    assert str(caught.value).startswith(f"{path}, {place}: {why}")
    ids, rejects = skipped(path, form=form)
    assert ids == (["1-1", "2-1"] if form == "kilt" else ["good", "last"])
    (reject,) = rejects
    assert (reject["where"], reject["raw"]) == (f"{path}, {place}", line.decode(errors="replace"))
    assert reject["why"].startswith(why)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_a_bad_row_of_parquet_is_named_by_its_number(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"id": "good", "text": "x"}, {"id": None, "text": "y"}, {"id": "last", "text": "z"}]
    path = write_rows(tmp_path / "c.parquet", rows)
    with pytest.raises(InputError, match=r"c\.parquet, row 2, field id: Field required"):
        read(path)
    ids, (reject,) = skipped(path)
    assert ids == ["good", "last"]
    assert json.loads(reject["raw"]) == rows[1]


def test_a_row_of_parquet_that_is_not_utf_8_is_named_alone(tmp_path: Path) -> None:
    text = pa.array([b"x", b"\xff", b"z"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"id": ["good", "bad", "last"], "text": text}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match=r"c\.parquet, row 2: a text is not UTF-8"):
        read(tmp_path / "c.parquet")
    assert skipped(tmp_path / "c.parquet")[0] == ["good", "last"]


def test_parquet_without_the_columns_of_a_passage_is_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.parquet", [{"docid": "1", "text": "x"}])
    with pytest.raises(InputError, match=r"there is no column 'id', only docid, text\. Name the columns"):
        read(path)
    path = write_rows(tmp_path / "c.parquet", [{"id": 1, "text": "x"}])
    with pytest.raises(InputError, match=r"row 1, field id: Input should be a valid string"):
        read(path)


def damaged(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def damaged_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files of each format that cannot be read, or not to their end, and what is said of them."""
    parquet = write_rows(folder / "whole.parquet", [{"id": str(n), "text": "x" * 99} for n in range(999)]).read_bytes()
    zstd = pa.Codec("zstd").compress(GOOD * 99, asbytes=True)
    yield damaged(folder / "binary.jsonl", b"\x7fELF\0\0\0\1" * 99), "is a binary file, not UTF-8 text"
    yield damaged(folder / "packed.jsonl", gzip.compress(GOOD)), "is a binary file, not UTF-8 text"
    yield damaged(folder / "utf16.jsonl", GOOD.decode().encode("utf-16")), "is a binary file, not UTF-8 text"
    yield damaged(folder / "binary.tsv", bytes(range(256))), "is a binary file, not UTF-8 text"
    yield damaged(folder / "plain.jsonl.gz", GOOD), "not a whole gzip file"
    yield damaged(folder / "plain.jsonl.zst", GOOD), "not a whole zstd file"
    yield damaged(folder / "cut.tsv.zst", zstd[:-5]), "not a whole zstd file"
    yield damaged(folder / "text.parquet", b"no parquet"), "cannot be read as Parquet"
    yield damaged(folder / "cut.parquet", parquet[:-9]), "cannot be read as Parquet"
    yield damaged(folder / "flipped.parquet", parquet[:40] + bytes(400) + parquet[440:]), "cannot be read as Parquet"
    yield damaged(folder / "cut.json", b'[{"id": "1", "text": "x"}, {"id'), "not JSON"
    yield damaged(folder / "latin.json", '[{"id": "1", "text": "schön"}]'.encode("latin-1")), "not UTF-8"
    yield damaged(folder / "deep.json", b"[" * 200_000), "nested too deeply"
    yield damaged(folder / "image.txt", b"\x89PNG\0\1"), "is a binary file, not UTF-8 text"
    yield damaged(folder / "latin.md", "schön".encode("latin-1")), "byte 3 (0xf6) is not UTF-8"
    yield damaged(folder / "broken.pdf", b"%PDF-1.7 nothing"), "cannot be read as PDF"


def test_a_file_that_cannot_be_read_stops_or_is_skipped_as_one(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    good = damaged(tmp_path / "good.jsonl", GOOD)
    for path, said in damaged_files(tmp_path / "bad"):
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value).startswith(str(path)), path
        assert said in str(caught.value), path
        ids, rejects = skipped(good, path)
        assert ids[0] == "good"
        assert [said in reject["why"] for reject in rejects] == [True], (path, rejects)


def test_a_missing_path_or_an_unknown_type_is_never_skipped(tmp_path: Path) -> None:
    good = damaged(tmp_path / "good.jsonl", GOOD)
    with pytest.raises(InputError, match="no such file or folder"):
        skipped(good, tmp_path / "none.jsonl")
    with pytest.raises(InputError, match=r"files of type '\.docx' cannot be read"):
        skipped(good, damaged(tmp_path / "a.docx", b"x"))


def test_ten_megabytes_are_a_document_but_no_passage(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_bytes(json.dumps({"id": "long", "text": "tide " * 2_000_000}).encode() + b"\n" + GOOD)
    with pytest.raises(
        InputError, match=r"line 1, field text: the text has 10,000,000 characters, 1,000,000 is the most"
    ):
        read(path)
    ids, (reject,) = skipped(path)
    assert ids == ["good"]
    assert len(reject["raw"]) == 2000
    path.write_bytes(json.dumps({"id": "long", "text": "t" * LONGEST_TEXT}).encode())
    assert [len(passage.text) for passage in read(path)] == [LONGEST_TEXT]


def test_a_document_of_ten_megabytes_is_split(tmp_path: Path) -> None:
    path = tmp_path / "long.md"
    row = f"{'0123456789' * 10} " * 10 + "\n"
    path.write_text(f"```\n{row * 10_000}```\n")
    counts = [count_words(passage.text) for passage in read(path, words=200)]
    assert (sum(counts), max(counts)) == (100_000, 200)


def test_a_line_without_end_and_a_huge_document_are_refused_without_reading_them_whole(tmp_path: Path) -> None:
    for name, said in (("huge.jsonl", "the line is longer than 64 MiB"), ("huge.txt", "larger than 64 MiB")):
        with (tmp_path / name).open("wb") as file:
            file.write(b"x" * 8192)
            file.truncate((64 << 20) + 1)  # the rest is a hole of zeros
        with pytest.raises(InputError, match=said):
            read(tmp_path / name)


@pytest.mark.parametrize("change", ["append", "replace", "touch", "remove", "add"])
def test_a_corpus_that_changes_while_it_is_read_is_refused(tmp_path: Path, change: str) -> None:
    folder = tmp_path / "pages"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text(f"Page {name}.")
    passages = read_corpus([folder], Reading(by_words(100), rejects=Rejects("skip", tmp_path / "rejects")))
    assert next(passages).text == "Page a.txt."
    changed = altered(folder, change)
    with pytest.raises(InputError, match=rf"{changed.name}: has changed while the corpus was read"):
        list(passages)


def altered(folder: Path, change: str) -> Path:
    path = folder / "b.txt"
    match change:
        case "append":
            path.write_text(path.read_text() + "More.")
        case "replace":
            (folder / "new.tmp").write_text("Page b.txt.")
            (folder / "new.tmp").rename(path)
        case "touch":
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        case "remove":
            path.unlink()
        case _:
            path = folder / "d.txt"
            path.write_text("Page d.")
    return path


def test_a_record_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = damaged(tmp_path / "c.jsonl", GOOD + GOOD.replace(b"good", b"two"))
    passages = read_corpus([path], Reading(by_words(100)))
    next(passages)
    with path.open("ab") as file:
        file.write(GOOD.replace(b"good", b"three"))
    with pytest.raises(InputError, match=r"c\.jsonl: has changed while the corpus was read"):
        list(passages)


def test_rejects_that_cannot_be_written_are_an_error_of_their_own(tmp_path: Path) -> None:
    path = damaged(tmp_path / "c.jsonl", b"broken\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file, not a folder"):
        list(read_corpus([path], Reading(by_words(100), rejects=Rejects("skip", tmp_path / "file" / "rejects"))))
