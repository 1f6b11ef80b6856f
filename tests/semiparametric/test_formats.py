"""Corpora and examples as files: what is read, what is refused and how, what is written."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment, read_examples, read_passages, write_jsonl

GOOD = b'{"id": "a", "text": "The tide turns."}\n'


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(read_passages(path))
    return str(caught.value)


def test_a_passage_needs_an_id_and_a_text_only(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(GOOD)
    assert list(read_passages(path)) == [Passage(id="a", title="", text="The tide turns.", source=None, metadata={})]


def test_empty_lines_and_a_missing_last_line_end_are_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\n" + GOOD + b"  \r\n" + b'{"id": "b", "text": "x"}')
    assert [passage.id for passage in read_passages(path)] == ["a", "b"]
    path.write_bytes(b"")
    assert list(read_passages(path)) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"text": "x"}', "line 2, field id: Field required"),
        (b'{"id": "b"}', "line 2, field text: Field required"),
        (b'{"id": "b", "text": ""}', "line 2, field text: String should have at least 1 character"),
        (b'{"id": "", "text": "x"}', "line 2, field id: String should have at least 1 character"),
        (b'{"id": 7, "text": "x"}', "line 2, field id: Input should be a valid string"),
        (b'{"id": "b", "text": null}', "line 2, field text: Input should be a valid string"),
        (b'{"id": "b", "text": ["x"]}', "line 2, field text: Input should be a valid string"),
        (b'{"id": "b", "text": "x", "title": 1}', "line 2, field title: Input should be a valid string"),
        (b'{"id": "b", "text": "x", "source": {}}', "line 2, field source: Input should be a valid string"),
        (b'{"id": "b", "text": "x", "metadata": {"k": [1]}}', "line 2, field metadata.k"),
        (b'{"id": "b", "text": "x", "metadata": [1]}', "line 2, field metadata: Input should be an object"),
        (b'{"id": "b", "text": "x", "metadata": "k"}', "line 2, field metadata: Input should be an object"),
        (b'{"id": "b", "text": "x", "url": "u", "metadata": [1]}', "line 2, field metadata: Input should be"),
        (b'{"id": "b", "text": "x", "url": "u", "metadata": "k"}', "line 2, field metadata: Input should be"),
        (b'{"id": "b", "text": "x", "url": "u", "metadata": 0}', "line 2, field metadata: Input should be"),
        (b'{"id": "b", "text": "x"', "line 2: Invalid JSON: EOF while parsing"),
        (b"id: b", "line 2: Invalid JSON: expected value"),
        (b"[1, 2]", "line 2: Input should be an object"),
        (b'{"id": "b", "text": "caf\xe9"}', "line 2: byte 24 of the line (0xe9) is not UTF-8. Save the file as UTF-8"),
        (b'{"id": "b", "text": "\\ud800"}', "line 2: Invalid JSON"),
        (b'{"id": "a", "text": "x"}', "line 2, field id: the id 'a' stands on line 1 already. Every id may occur once"),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_a_bad_line_is_refused_by_file_line_and_field(tmp_path: Path, suffix: str, line: bytes, said: str) -> None:
    path = tmp_path / f"corpus{suffix}"
    data = GOOD + line + b"\n" + b"never read\n"
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    assert refusal(path).startswith(f"{path}, {said}")


def test_good_lines_before_a_bad_one_are_given(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(GOOD + b"{}\n")
    passages = read_passages(path)
    assert next(passages).id == "a"
    with pytest.raises(InputError, match=r"line 2, field id"):
        next(passages)


def test_line_numbers_count_empty_lines_too(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"\n\n" + GOOD + b"\n" + GOOD)
    assert "line 5, field id: the id 'a' stands on line 3 already" in refusal(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.jsonl") == f"{tmp_path}/none.jsonl: no such file"
    said = f"{tmp_path}: is a folder, and a file is read here. Name a file; `cosup corpus documents"
    assert refusal(tmp_path).startswith(said)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: data[: len(data) // 2], id="cut in the middle"),
        pytest.param(lambda data: data[:-3], id="cut in the checksum"),
        pytest.param(lambda data: data[:300] + b"\xff\x00\xff\x00" + data[304:], id="bytes changed"),
        pytest.param(lambda data: data[:-8] + b"\0" * 8, id="wrong checksum"),
        pytest.param(lambda _: b"plain text", id="not gzip"),
    ],
)
def test_a_damaged_gzip_file_is_refused_by_the_last_good_line(tmp_path: Path, damage: object) -> None:
    path = tmp_path / "corpus.jsonl.gz"
    data = gzip.compress(b"".join(b'{"id": "%d", "text": "%d"}\n' % (n, n * n) for n in range(2000)), mtime=0)
    assert callable(damage)
    path.write_bytes(damage(data))
    said = refusal(path)
    assert said.startswith(f"{path}, after line ")
    assert "not a whole gzip file" in said


def test_unknown_scalars_become_metadata_and_come_back_as_such(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    extra = {"license": "CC0", "year": 1923, "rank": 0.5, "old": True, "none": None, "tags": ["a"], "nested": {"a": 1}}
    path.write_text(json.dumps({"id": "a", "text": "x", "metadata": {"year": 1924}} | extra))
    passages = list(read_passages(path))
    assert passages[0].metadata == {"license": "CC0", "year": 1924, "rank": 0.5, "old": True}
    assert type(passages[0].metadata["old"]) is bool
    copy = tmp_path / "copy.jsonl"
    write_jsonl(copy, passages)
    assert list(read_passages(copy)) == passages
    assert json.loads(copy.read_text())["metadata"] == passages[0].metadata


def test_examples_are_read_and_their_cited_segments_found(tmp_path: Path) -> None:
    example = Example(
        id="1",
        task="qa",
        question="When?",
        answers=["twice a day"],
        segments=[Segment(text="It turns"), Segment(text="twice a day", passage_id="tide"), Segment(text=".")],
    )
    path = tmp_path / "examples.jsonl.gz"
    assert write_jsonl(path, [example]) == 1
    assert list(read_examples(path)) == [example]
    assert example.cited == [Segment(text="twice a day", passage_id="tide")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"id": "1"}, "line 1, field question: Field required"),
        ({"id": "1", "question": "?", "answers": "yes"}, "line 1, field answers: Input should be a valid array"),
        ({"id": "1", "question": "?", "answers": ["a", 2]}, "line 1, field answers.1: Input should be a valid string"),
        ({"id": "1", "question": "?", "segments": [{"text": ""}]}, "line 1, field segments.0.text: String should have"),
        ({"id": "1", "question": "?", "segments": [{"txt": "a"}]}, "line 1, field segments.0.text: Field required"),
        (
            {"id": "1", "question": "?", "segments": [{"text": "a", "passage": "p"}]},
            "line 1, field segments.0.passage: Extra inputs are not permitted",
        ),
    ],
)
def test_a_bad_example_is_refused_by_its_field(tmp_path: Path, line: dict[str, object], said: str) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(json.dumps(line))
    with pytest.raises(InputError) as caught:
        list(read_examples(path))
    assert str(caught.value).startswith(f"{path}, {said}")


def test_negatives_of_a_lookup_are_written_only_where_there_are_some(tmp_path: Path) -> None:
    plain = Example(id="1", question="When?", segments=[Segment(text="Twice a day.", passage_id="tide")])
    mined = Example(
        id="2", question="When?", segments=[Segment(text="Twice a day.", passage_id="tide", negatives=["moon", "mill"])]
    )
    path = tmp_path / "examples.jsonl"
    write_jsonl(path, [plain, mined])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert "negatives" not in lines[0]["segments"][0]
    assert lines[1]["segments"][0]["negatives"] == ["moon", "mill"]
    assert list(read_examples(path)) == [plain, mined]


@pytest.mark.parametrize(
    ("segment", "said"),
    [
        ({"text": "a", "negatives": ["n"]}, "negatives belong to a cited segment, and this one has no passage_id"),
        ({"text": "a", "passage_id": "p", "negatives": ["n", "p"]}, "'p' is the segment's own passage"),
        ({"text": "a", "passage_id": "p", "negatives": ["n", "n"]}, "each once and none empty"),
        ({"text": "a", "passage_id": "p", "negatives": [""]}, "each once and none empty"),
        ({"text": "a", "passage_id": "p", "negatives": [7]}, "Input should be a valid string"),
    ],
)
def test_negatives_that_cannot_be_meant_are_refused(tmp_path: Path, segment: dict[str, object], said: str) -> None:
    path = tmp_path / "examples.jsonl"
    path.write_text(json.dumps({"id": "1", "question": "?", "segments": [segment]}))
    with pytest.raises(InputError, match=r"line 1, field segments\.0") as caught:
        list(read_examples(path))
    assert said in str(caught.value)


TEXT = st.text(min_size=1, max_size=20)
PASSAGES = st.lists(
    st.builds(
        Passage,
        id=TEXT,
        title=st.text(max_size=20),
        text=TEXT,
        source=st.none() | TEXT,
        metadata=st.dictionaries(
            st.text(max_size=8), TEXT | st.integers() | st.booleans() | st.floats(allow_nan=False), max_size=3
        ),
    ),
    max_size=5,
    unique_by=lambda passage: passage.id,
)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
@given(passages=PASSAGES)
def test_whatever_is_written_comes_back(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, passages: list[Passage]
) -> None:
    path = tmp_path_factory.mktemp("corpus") / f"corpus{suffix}"
    assert write_jsonl(path, passages) == len(passages)
    assert list(read_passages(path)) == passages


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_the_same_records_give_the_same_bytes_wherever_and_whenever(tmp_path: Path, name: str) -> None:
    records = [Passage(id=str(n), text="Übergröße 灯台", metadata={"n": n}) for n in range(100)]
    (tmp_path / "elsewhere").mkdir()
    write_jsonl(tmp_path / name, records)
    write_jsonl(tmp_path / "elsewhere" / f"other-{name}", iter(records))
    data = (tmp_path / name).read_bytes()
    assert data == (tmp_path / "elsewhere" / f"other-{name}").read_bytes()
    if name.endswith(".gz"):
        assert data[4:8] == b"\0\0\0\0"  # the header's time, which would differ from run to run
        data = gzip.decompress(data)
    assert "Übergröße 灯台".encode() in data


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_writing_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path, name: str) -> None:
    def half() -> Iterator[Passage]:
        yield Passage(id="new", text="x" * 100_000)
        raise InputError("the reader failed")

    path = tmp_path / name
    with pytest.raises(InputError, match="the reader failed"):
        write_jsonl(path, half())
    assert list(tmp_path.iterdir()) == []
    write_jsonl(path, [Passage(id="old", text="x")])
    before = path.read_bytes()
    with pytest.raises(InputError, match="the reader failed"):
        write_jsonl(path, half())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named_before_any_record_is_made(tmp_path: Path) -> None:
    asked: list[int] = []
    records = (asked.append(n) or Passage(id=str(n), text="x") for n in range(3))  # type: ignore[func-returns-value]
    with pytest.raises(InputError, match=r"nowhere: the folder does not exist. Create it"):
        write_jsonl(tmp_path / "nowhere" / "a.jsonl", records)
    assert asked == []


def test_a_byte_order_mark_at_the_start_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a", "text": "one"}\n')
    assert [passage.id for passage in read_passages(path)] == ["a"]
