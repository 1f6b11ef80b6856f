"""Packed files that are small and mean to take all memory: refused, in a process that stays small."""

import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = [pytest.mark.bad_input, pytest.mark.timeout(120)]

MIB = 1 << 20
LONGEST = 64  # MiB of a line, or of the characters of a value

# The peak is that of a process of its own: what pytest held before would hide it. Linux alone tells it.
READ = """
import sys
from pathlib import Path
from index_builder.corpus import read_corpus
from index_builder.reading import Reading
from index_builder.splitting import by_words
from semiparametric.errors import InputError
from tests.memory import kib

before = kib("VmHWM")
try:
    said = f"{sum(1 for _ in read_corpus([Path(sys.argv[1])], Reading(by_words(100))))} passages"
except InputError as error:
    said = str(error)
print((kib("VmHWM") - before) // 1024, said)
"""


def read_apart(path: Path) -> tuple[int, str]:
    """The MiB that reading a corpus took at its peak, and what came of it."""
    done = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True)
    taken, said = done.stdout.split(" ", 1)
    return int(taken), said


def gz(pieces: Iterator[bytes]) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(piece) for piece in pieces), packer.flush()])


def zst(pieces: Iterator[bytes]) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packer:
        for piece in pieces:
            packer.write(piece)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def filled(begin: bytes, filling: bytes, mib: int, end: bytes = b"") -> Iterator[bytes]:
    """So much of one filling between a beginning and an end."""
    yield begin
    for _ in range(mib):
        yield filling * (MIB // len(filling))
    yield end


@pytest.mark.parametrize("pack", [gz, zst])
@pytest.mark.parametrize(
    ("name", "begin", "filling", "said", "times"),
    [
        ("c.jsonl", b'{"id": "a", "text": "', b"a", "line 1: the line is longer than 64 MiB", 3),
        ("c.tsv", b"a\t", b" ", "line 1: the line is longer than 64 MiB", 3),
        ("c.jsonl", b"", b"[", "record 1: nested too deeply", 1),
        ("c.json", b'[{"id": "a", "text": "', b"a", "record 1: the value is longer than 64 million characters", 7),
    ],
)
def test_a_line_or_value_without_end_is_refused_without_being_held(
    tmp_path: Path,
    pack: Callable[[Iterator[bytes]], bytes],
    name: str,
    begin: bytes,
    filling: bytes,
    said: str,
    times: int,
) -> None:
    path = tmp_path / f"{name}.{pack.__name__}"
    path.write_bytes(pack(filled(begin, filling, 4 * LONGEST)))
    assert path.stat().st_size < 2 * MIB
    taken, told = read_apart(path)
    assert said in told
    assert taken < times * LONGEST


@pytest.mark.parametrize(
    ("name", "begin", "filling", "end"),
    [
        ("c.jsonl", b'{"id": "a", "text": "x", "more": [[]', b",[]", b"]}\n"),
        ("c.jsonl", b'{"id": "a", "text": "x", "more": [{}', b",{}", b"]}\n"),
        ("kilt.jsonl", b'{"wikipedia_id": "1", "wikipedia_title": "T", "text": [""', b',""', b"]}\n"),
        ("alce.jsonl", b'{"docs": [{"text": "a"}', b',{"text": "a"}', b"]}\n"),
        ("alce.json", b"[[[]", b",[]", b"]]\n"),
    ],
)
def test_a_record_of_millions_of_values_is_refused_before_they_are_made(
    tmp_path: Path, name: str, begin: bytes, filling: bytes, end: bytes
) -> None:
    path = tmp_path / f"{name}.gz"
    path.write_bytes(gz(filled(begin, filling, LONGEST - 2, end)))
    taken, told = read_apart(path)
    assert "1: the record has more than 2,000,000 brackets and commas. Split it into several records" in told
    assert taken < 5 * LONGEST


@pytest.mark.slow
def test_a_record_of_as_many_values_as_may_be_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl.gz"
    lists = b",[]" * 990_000
    path.write_bytes(gz(iter([b'{"id": "a", "text": "x", "more": [[]', lists, b"]}\n"])))
    taken, told = read_apart(path)
    assert told == "1 passages\n"
    assert taken < 5 * LONGEST


def test_a_parquet_dictionary_that_gives_one_text_to_many_rows_is_refused_row_by_row(tmp_path: Path) -> None:
    path = tmp_path / "c.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array(["a" * (8 * MIB)]))
    pq.write_table(pa.table({"id": [str(n) for n in range(2000)], "text": texts}), path, compression="zstd")
    assert path.stat().st_size < MIB
    taken, told = read_apart(path)
    assert "row 1, field text: the text has 8,388,608 characters, 1,000,000 is the most" in told
    assert taken < 6 * LONGEST
