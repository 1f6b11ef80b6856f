"""Corpora in the formats of others: what becomes a passage, with which id, and how a format is told."""

import csv
import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from index_builder.corpus import read_corpus
from index_builder.reading import Reading
from index_builder.reading_settings import Format
from index_builder.splitting import by_words
from semiparametric.errors import InputError
from semiparametric.formats import Passage, read_passages
from training.examples.converters.alce import convert_alce
from training.examples.converters.kilt_pages import read_paragraphs
from training.examples.settings import ConvertSettings

PASSAGES = [
    Passage(id="lamp", title="The lamp", text="It is lit at dusk.", source="log.md", metadata={"place": "tower"}),
    Passage(id="tide", text="The tide turns twice a day.\nThen it rests."),
    Passage(id="wheel", title='"Wheel"\t2', text='It "follows" the tide, ütide 潮.', metadata={"page": 3, "wet": True}),
]


def read(*paths: Path, form: Format = "auto") -> list[Passage]:
    return list(read_corpus(paths, Reading(by_words(100), form)))


def json_lines(records: Sequence[object]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def zstd(data: bytes) -> bytes:
    compressed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return compressed


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_json_lines_are_read_whatever_they_are_compressed_by(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"corpus.jsonl{suffix}"
    lines = json_lines([passage.model_dump(exclude_none=True) for passage in PASSAGES])
    half = lines.index(b"\n") + 1
    path.write_bytes(COMPRESSED[suffix](lines[:half]) + COMPRESSED[suffix](lines[half:]))  # two frames, as after `cat`
    assert read(path) == PASSAGES == list(read_passages(path))


def test_columns_of_parquet_are_fields_and_other_scalars_metadata(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"p{n}",
            "title": None if n == 1 else f"Title {n}",
            "text": f"Text {n}.",
            "year": 1900 + n,
            "score": float("nan") if n == 2 else n / 2,
            "old": n > 1,
            "day": date(1901, 2, n),
            "cost": Decimal("1.50"),
            "tags": ["a"],
            "raw": b"x",
            "metadata": {"place": "mill", "floor": None if n == 1 else n},
        }
        for n in (1, 2, 3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "corpus.parquet", row_group_size=2)
    first, second, third = read(tmp_path / "corpus.parquet")
    day = {"day": "1901-02-01", "cost": "1.50"}
    assert first.metadata == {"year": 1901, "score": 0.5, "old": False, "place": "mill"} | day
    assert (first.id, first.title, first.text) == ("p1", "", "Text 1.")
    assert "score" not in second.metadata
    assert third.metadata["floor"] == 3


def test_metadata_of_parquet_may_be_a_map(tmp_path: Path) -> None:
    kinds = pa.schema([("id", pa.string()), ("text", pa.string()), ("metadata", pa.map_(pa.string(), pa.int64()))])
    rows = [{"id": "a", "text": "x", "metadata": [("page", 3)]}, {"id": "b", "text": "y", "metadata": []}]
    pq.write_table(pa.Table.from_pylist(rows, kinds), tmp_path / "corpus.parquet")
    assert [passage.metadata for passage in read(tmp_path / "corpus.parquet")] == [{"page": 3}, {}]


BEIR = [
    {"_id": "d1", "title": "The lamp", "text": "It is lit.", "metadata": {"url": "u", "links": ["a"], "none": None}},
    {"_id": 2, "title": "", "text": "The tide turns.", "metadata": {}},
]


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_a_beir_set_is_its_corpus_and_not_its_queries(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"corpus.jsonl{suffix}").write_bytes(COMPRESSED[suffix](json_lines(BEIR)))
    (tmp_path / "queries.jsonl").write_bytes(json_lines([{"_id": "q1", "text": "When?"}]))
    (tmp_path / "README.md").write_text("# About\nText.")
    expected = [
        Passage(id="d1", title="The lamp", text="It is lit.", metadata={"url": "u"}),
        Passage(id="2", text="The tide turns."),
    ]
    assert read(tmp_path) == read(tmp_path, form="beir") == read(tmp_path / f"corpus.jsonl{suffix}") == expected
    assert [passage.id for passage in read(tmp_path, form="documents")] == ["README.md#1"]


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_dpr_passages_are_unquoted_as_csv_is(tmp_path: Path, suffix: str) -> None:
    written = io.StringIO()
    rows = [(1, 'He said "lit", then left.', "The lamp"), (2, "A\ttab inside.", "Tide"), (3, '"Low', '"Low" water')]
    writer = csv.writer(written, delimiter="\t", lineterminator="\n")
    writer.writerows([("id", "text", "title"), *rows])
    path = tmp_path / f"psgs_w100.tsv{suffix}"
    path.write_bytes(COMPRESSED[suffix](written.getvalue().encode()))
    assert [(int(passage.id), passage.text, passage.title) for passage in read(path)] == rows


def test_quotation_marks_of_an_unquoted_dpr_file_stay(tmp_path: Path) -> None:
    path = tmp_path / "passages.tsv"
    path.write_text('1\t"Lit" is the word.\tLamp\n2\tPlain "here".\t"Tide"\n', "utf-8")
    assert [(passage.text, passage.title) for passage in read(path)] == [
        ('"Lit" is the word.', "Lamp"),
        ('Plain "here".', "Tide"),
    ]


def test_columns_of_dpr_are_named_by_a_header(tmp_path: Path) -> None:
    path = tmp_path / "passages.tsv"
    path.write_bytes(b"\xef\xbb\xbfid\ttitle\ttext\tlanguage\r\na\tLamp\tIt is lit.\ten\r\n")
    assert read(path) == [Passage(id="a", title="Lamp", text="It is lit.", metadata={"language": "en"})]


KILT = [
    {
        "_id": "10",
        "wikipedia_id": "10",
        "wikipedia_title": "Tide mill",
        "text": [
            "Tide mill\n",
            "It grinds.\n",
            "Section::::History.\n",
            "BULLET::::- In Ørrisholm.\n",
            " \n",
            "End.",
        ],
        "categories": "Mills",
    },
    {"wikipedia_id": 11, "wikipedia_title": "Lamp", "text": ["Lamp\n", "It is lit.\n"]},
]


@pytest.mark.parametrize("name", ["kilt_knowledgesource.json", "kilt.jsonl.gz", "kilt.jsonl.zst"])
def test_paragraphs_of_kilt_are_the_passages_that_its_examples_cite(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    compress = COMPRESSED[path.suffix if path.suffix in COMPRESSED else ""]
    path.write_bytes(compress(json_lines(KILT)))
    passages = read(path)
    assert [passage.id for passage in passages] == ["10-1", "10-3", "10-5", "11-1"]
    assert passages == [paragraph.passage for paragraph in read_paragraphs(path)]


DOCUMENTS: list[dict[str, Any]] = [
    {"id": "77", "title": "Lamp", "text": "It is lit.", "score": 1.5},
    {"title": "Tide", "text": " It turns.\n"},
    {"title": "Lamp", "text": "It is lit.", "id": "77"},
    {"title": "Nothing", "text": " "},
]


def test_documents_of_alce_are_those_of_its_examples_each_once(tmp_path: Path) -> None:
    questions = [
        {"question": "When?", "answer": "At dusk [1].", "docs": DOCUMENTS},
        {"question": "What?", "answer": "The tide [2].", "docs": DOCUMENTS[:2]},
    ]
    path = tmp_path / "asqa.json"
    path.write_text(json.dumps(questions), "utf-8")
    settings = ConvertSettings(format="alce", in_=[path], out=tmp_path)
    cited = {passage.id: passage for record in convert_alce(path, settings) for passage in record.passages}
    assert read(path) == list(cited.values())
    assert read(path)[0].id == "77"
    (tmp_path / "docs.json").write_text(json.dumps(DOCUMENTS), "utf-8")
    (tmp_path / "lines.jsonl").write_bytes(json_lines(questions))
    assert read(tmp_path / "docs.json") == read(path)
    assert read(path, tmp_path / "docs.json", tmp_path / "lines.jsonl") == read(path)


def test_an_alce_id_that_names_two_texts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "docs.json"
    path.write_text(json.dumps([DOCUMENTS[0], DOCUMENTS[0] | {"text": "It is out."}]), "utf-8")
    with pytest.raises(InputError, match=r"docs\.json, record 2, field id: the id '77' stands in record 1 already"):
        read(path)


def test_several_paths_are_one_corpus(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "note.md").write_text("# Note\nText.", "utf-8")
    (tmp_path / "beir.jsonl").write_bytes(json_lines(BEIR))
    (tmp_path / "own.jsonl").write_bytes(json_lines([{"id": "own", "text": "Own."}]))
    paths = [tmp_path / "own.jsonl", tmp_path / "pages", tmp_path / "beir.jsonl"]
    assert [passage.id for passage in read(*paths)] == ["own", "note.md#1", "d1", "2"]
    with pytest.raises(InputError, match=r"own\.jsonl, line 1, field id: the id 'own' stands on line 1 already"):
        read(*paths, paths[0])
    (tmp_path / "more.jsonl").write_bytes(json_lines([{"id": "new", "text": "x"}, {"id": "note.md#1", "text": "y"}]))
    with pytest.raises(InputError, match=r"more\.jsonl, line 2.*stands in passage 1 of .*pages/note\.md already"):
        read(*paths, tmp_path / "more.jsonl")


def test_a_folder_of_a_named_format_is_all_its_files(tmp_path: Path) -> None:
    for name in ("b", "a"):
        pq.write_table(pa.Table.from_pylist([{"id": name, "text": "x"}]), tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}.jsonl").write_bytes(json_lines([{"id": name, "text": "y"}]))
    assert [(passage.id, passage.text) for passage in read(tmp_path, form="parquet")] == [("a", "x"), ("b", "x")]
    assert [(passage.id, passage.text) for passage in read(tmp_path, form="jsonl")] == [("a", "y"), ("b", "y")]
    with pytest.raises(InputError, match=r"no file of type \.tsv to read as dpr"):
        read(tmp_path, form="dpr")
    with pytest.raises(InputError, match=r"there is no corpus\.jsonl\. Give the folder of a BEIR set"):
        read(tmp_path, form="beir")


def test_a_named_format_wins_over_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_bytes(json_lines(BEIR))
    assert [passage.id for passage in read(tmp_path / "corpus.txt", form="beir")] == ["d1", "2"]
    assert [passage.id for passage in read(tmp_path / "corpus.txt")] == ["corpus.txt#1"]
    (tmp_path / "corpus.jsonl").write_bytes(json_lines(BEIR))
    with pytest.raises(InputError, match=r"documents of type '\.jsonl' cannot be read\. Give one of type \.txt"):
        read(tmp_path / "corpus.jsonl", form="documents")


def test_a_broken_first_line_does_not_hide_the_format(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(b"{broken\n" + json_lines(KILT))
    with pytest.raises(InputError, match=r"corpus\.jsonl, line 1: Invalid JSON"):
        read(tmp_path / "corpus.jsonl")
    with pytest.raises(InputError, match=r"line 1: Invalid JSON"):
        read(tmp_path / "corpus.jsonl", form="kilt")


BLOCK = "The tide turns twice a day. " * 1000


def large_jsonl(path: Path, count: int) -> None:
    with gzip.open(path, "wb", compresslevel=1) as file:
        for n in range(count):
            file.write(json_lines([{"id": str(n), "text": BLOCK}]))


def large_zstd(path: Path, count: int) -> None:
    with pa.output_stream(str(path), compression="zstd") as file:
        for n in range(count):
            file.write(json_lines([{"id": str(n), "text": BLOCK}]))


def large_parquet(path: Path, count: int) -> None:
    with pq.ParquetWriter(path, pa.schema([("id", pa.string()), ("text", pa.string())])) as writer:
        for n in range(0, count, 100):
            rows = {"id": [str(n + at) for at in range(100)], "text": [BLOCK] * 100}
            writer.write_table(pa.table(rows), row_group_size=100)


def large_alce(path: Path, count: int) -> None:
    with path.open("w") as file:
        for n in range(count):
            file.write(f"{',' if n else '['}{json.dumps({'id': str(n), 'text': BLOCK})}")
        file.write("]")


LARGE: dict[str, Callable[[Path, int], None]] = {
    "corpus.jsonl.gz": large_jsonl,
    "corpus.jsonl.zst": large_zstd,
    "corpus.parquet": large_parquet,
    "corpus.json": large_alce,
}


@pytest.mark.parametrize("name", LARGE)
def test_memory_does_not_grow_with_the_corpus(tmp_path: Path, name: str) -> None:
    count = 2000  # 56 MB of text
    LARGE[name](tmp_path / name, count)
    arrow = pa.default_memory_pool()
    before = arrow.bytes_allocated()
    tracemalloc.start()
    try:
        most, seen = 0, 0
        for _ in read_corpus([tmp_path / name], Reading(by_words(100))):
            seen += 1
            most = max(most, arrow.bytes_allocated() - before)
        peak = tracemalloc.get_traced_memory()[1] + most
    finally:
        tracemalloc.stop()
    assert seen == count
    assert peak < 24e6
