"""Damaged files of every format: each is read, or refused by an error of ours that names it."""

import gzip
import json
from collections.abc import Callable, Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index_builder.corpus import read_corpus
from index_builder.reading import Reading
from index_builder.reading_settings import Format
from index_builder.rejects import Rejects
from index_builder.splitting import by_words
from semiparametric.errors import InputError
from tests.index_builder.pdf_files import write_pdf

pytestmark = pytest.mark.bad_input

RECORDS = [
    {"id": f"r{n}", "title": f"Lamp {n}", "text": "It is lit at dusk.\nÜbergröße 灯台.", "metadata": {"page": n}}
    for n in range(6)
]
KILT = {"wikipedia_id": "1", "wikipedia_title": "Tide", "text": ["Tide", "It turns.", "Section::::Moon.", "It pulls."]}
ALCE = [{"question": "Why?", "docs": [{"title": "Tide", "text": "It turns."}, {"id": "7", "text": "It rests."}]}] * 3
HTML = """<!doctype html><html><head><title>The mill</title><script>if (a < b) {}</script></head><body><h1>Wheel</h1>
<p>It <b>follows</b> the tide.<br>&amp; rests&nbsp;&#x1F5FC;.</p><table><tr><th>Key</th><td>7</td></tr></table>
<pre>a
 b</pre><!-- no --><ul><li>One<li>Two</ul></body></html>"""
MARKDOWN = """---
title: The mill
date: 2026-11-02
---
# Wheel

It *follows* the [tide](https://a.example "x"). `code` <b>bold</b>

| key | room |
|-----|------|
| 7   | north |

> - one
> - two

```python
print(1)
```
"""


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)


def parquet() -> bytes:
    file = BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), file, row_group_size=4, compression="zstd")
    return file.getvalue()


def pdf() -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.pdf"
        marks = [("The lamp", 1, 1), ("Oil", 2, 1)]
        write_pdf(path, [["The lamp", "It is lit."], ["Oil", "It burns."]], marks, title="Rules of the tower")
        return path.read_bytes()


def zstd(data: bytes) -> bytes:
    compressed: bytes = pa.Codec("zstd").compress(data, asbytes=True)
    return compressed


Make = Callable[[], bytes]
FILES: Mapping[str, tuple[Format, str, Make]] = {
    "json-lines": ("auto", "c.jsonl", lambda: lines(*RECORDS)),
    "gz": ("jsonl", "c.jsonl.gz", lambda: gzip.compress(lines(*RECORDS))),
    "zst": ("jsonl", "c.jsonl.zst", lambda: zstd(lines(*RECORDS))),
    "beir": ("beir", "c.jsonl", lambda: lines(*({"_id": one["id"], "text": one["text"]} for one in RECORDS))),
    "kilt": ("kilt", "c.json", lambda: lines(KILT, KILT | {"wikipedia_id": "2"})),
    "alce": ("alce", "c.json", lambda: json.dumps(ALCE).encode()),
    "dpr": ("dpr", "c.tsv", lambda: b'id\ttext\ttitle\n1\t"It ""turns""."\tTide\n2\tIt rests.\tTide\n'),
    "parquet": ("auto", "c.parquet", parquet),
    "html": ("auto", "c.html", HTML.encode),
    "markdown": ("auto", "c.md", MARKDOWN.encode),
    "text": ("auto", "c.txt", lambda: b"The tide.\n\n- turns\n- rests\n\n1. It is so.\n"),
    "pdf": ("auto", "c.pdf", pdf),
}

MARKUP = [
    "<table><tr><td>" * 40,
    "</",
    "<!",
    "<![CDATA[",
    "<!--",
    "&#xD800;",
    "&#99999999999;",
    "<pre>",
    "<h1>",
    "<nav>",
]
MARKS = ["---\n", "title: 2026-99-99\n", "[" * 60, "](", "```\n", "> " * 30, "|-|\n", "`" * 9, "- " * 40, "!<b", "&x;"]
JSON = ["{", "[" * 2000, "9" * 5000, "NaN", '"\\ud800"', "\\u0000", "null", "1e999", '{"id": ""}', "\n", ","]
BYTES = [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xed\xa0\x80", b"PAR1"]
PDF = [b"endobj", b"1 0 R", b"<<", b">>", b"/Kids [1 0 R]", b"99999999999", b"-1", b"/Prev 0", b"stream\n", b"()", b"/"]
PIECES = [*(piece.encode() for piece in (*MARKUP, *MARKS, *JSON)), *BYTES, *PDF]


@cache
def whole(kind: str) -> bytes:
    return FILES[kind][2]()


@st.composite
def damaged(draw: st.DrawFn, kind: str) -> bytes:
    """A file with some bits flipped, and some pieces taken out, put in, or repeated."""
    data = whole(kind)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 60)))
        cut = data[start:end]
        other = draw(
            st.one_of(
                st.sampled_from([b"", cut * 2, cut * 50, cut[::-1], bytes(byte ^ 0x20 for byte in cut)]),
                st.sampled_from(PIECES),
                st.binary(max_size=20),
            )
        )
        data = data[:start] + other + data[end:]
    return data[: draw(st.sampled_from([len(data), len(data) // 2]))]


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_by_its_name(kind: str, data: st.DataObject) -> None:
    form, name, _ = FILES[kind]
    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data.draw(damaged(kind)))
        try:
            passages = list(read_corpus([path], Reading(by_words(50), form)))
        except InputError as error:
            assert str(path) in str(error)  # noqa: PT017 - both ends are right
        else:
            assert all(passage.text.strip() and passage.id for passage in passages)
        rejects = Rejects("skip", Path(folder) / "rejects.jsonl")
        for passage in read_corpus([path], Reading(by_words(50), form, rejects)):
            passage.text.encode()
