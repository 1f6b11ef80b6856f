"""Reading corpora: document types, titles, ids, and what cannot be read."""

import gzip
import logging
import os
from pathlib import Path

import pytest

from index_builder.corpus import read_corpus
from index_builder.reading import Reading
from index_builder.splitting import by_words
from semiparametric.errors import InputError
from semiparametric.formats import Passage, write_jsonl

MARKDOWN = """---
title: "Tower rules"
tags: [a, b]
---
Welcome to the *tower*. See [the map](map.md)!

## Lamps & `wicks`
Trim the wick
at dusk.

- First item.
- Second item with **bold** words.

### Oil
| Month | Litres |
|-------|--------|
| May   | 40     |

```python
lamp.light()  # No sentence. Here.
```
## Visitors
<div>Closed <b>on</b> Mondays.</div>
"""

HTML = """<!doctype html><html><head><title>Keepers</title><style>p {color: red}</style></head>
<body><nav><a href="/">Home</a></nav><!-- a comment -->
<h1>The <em>keepers</em></h1><p>Anna came first.<br>She stayed.</p>
<h2>Later</h2><div>Before <p>Bo &amp; <a href="x">Cy</a></p> after</div>
<ul><li>One</li><li>Two <ul><li>Nested</li></ul></li></ul>
<table><tr><th>Year</th><td>1901</td></tr></table>
<pre>
line 1
  line 2</pre><script>alert(1)</script></body></html>"""


def read(path: Path, passage_words: int = 100) -> list[Passage]:
    return list(read_corpus([path], Reading(by_words(passage_words))))


def shown(passages: list[Passage]) -> list[tuple[str, str, str]]:
    return [(passage.id, passage.title, passage.text) for passage in passages]


def test_markdown_keeps_its_headings_as_titles_and_loses_its_marks(tmp_path: Path) -> None:
    (tmp_path / "rules.md").write_text(MARKDOWN, "utf-8")
    assert shown(read(tmp_path)) == [
        ("rules.md#1", "Tower rules", "Welcome to the tower. See the map!"),
        (
            "rules.md#2",
            "Tower rules > Lamps & wicks",
            "Trim the wick at dusk.\nFirst item.\nSecond item with bold words.",
        ),
        (
            "rules.md#3",
            "Tower rules > Lamps & wicks > Oil",
            "Month | Litres\nMay | 40\nlamp.light()  # No sentence. Here.",
        ),
        ("rules.md#4", "Tower rules > Visitors", "Closed on Mondays."),
    ]


def test_html_keeps_what_a_reader_of_the_page_sees(tmp_path: Path) -> None:
    (tmp_path / "keepers.html").write_text(HTML, "utf-8")
    assert shown(read(tmp_path)) == [
        ("keepers.html#1", "The keepers", "Anna came first. She stayed."),
        (
            "keepers.html#2",
            "The keepers > Later",
            "Before\nBo & Cy\nafter\nOne\nTwo\nNested\nYear | 1901\nline 1\n  line 2",
        ),
    ]


def test_html_with_thousands_of_unclosed_tags_is_read(tmp_path: Path) -> None:
    (tmp_path / "deep.htm").write_text("<div><span>deep " * 5000, "utf-8")
    passages = read(tmp_path, passage_words=1000)
    assert sum(passage.text.count("deep") for passage in passages) == 5000


def test_plain_text_joins_wrapped_lines_and_keeps_lists(tmp_path: Path) -> None:
    (tmp_path / "log book.txt").write_bytes(b"\xef\xbb\xbfWind from\r\nthe west.\r\n\r\n- rope\r\n- lamp\r\n")
    assert shown(read(tmp_path)) == [("log book.txt#1", "log book", "Wind from the west.\n- rope\n- lamp")]


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        ("# Page\nA.\n# Page\nB.\n# Other\nC.", ["Page", "Page", "Page > Other"]),
        ("A.\n## Sub\nB.", ["file", "file > Sub"]),
        ("---\ntitle: [broken\n---\n# Page\nA.", ["Page"]),
        ("---\nA rule above, no front matter.", ["file"]),
        ("# Page\n## A\n### B\nx\n## C\ny", ["Page > A > B", "Page > C"]),
    ],
)
def test_titles_are_paths_of_headings(tmp_path: Path, text: str, titles: list[str]) -> None:
    (tmp_path / "file.md").write_text(text, "utf-8")
    assert [passage.title for passage in read(tmp_path)] == titles


def test_a_folder_is_read_in_sorted_order_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.md", "a/y/x.txt", ".hidden.txt", ".git/c.txt", "ü/日本.txt", "A.TXT"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("Some text.", "utf-8")
    passages = read(tmp_path)
    assert [passage.id for passage in passages] == ["A.TXT#1", "a/y/x.txt#1", "a/z.md#1", "b.txt#1", "ü/日本.txt#1"]
    assert passages[1].source == "a/y/x.txt"
    assert passages[1].metadata == {"file": "a/y/x.txt"}


def test_equal_texts_are_all_kept(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("The same words.", "utf-8")
    assert [passage.text for passage in read(tmp_path)] == ["The same words."] * 2


def test_passages_of_a_jsonl_are_left_as_they_are(tmp_path: Path) -> None:
    entries = [Passage(id="1", title="T", text="One. " * 500), Passage(id="2", text="Two.")]
    for name in ("corpus.jsonl", "corpus.jsonl.gz"):
        write_jsonl(tmp_path / name, entries)
        assert read(tmp_path / name, passage_words=10) == entries


def test_one_document_is_a_corpus_too(tmp_path: Path) -> None:
    (tmp_path / "note.md").write_text("# Note\nText.", "utf-8")
    assert shown(read(tmp_path / "note.md")) == [("note.md#1", "Note", "Text.")]


@pytest.mark.bad_input
def test_files_of_unknown_type_in_a_folder_are_named_in_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.txt", "b.odt", "c.docx", "Makefile"):
        (tmp_path / name).write_text("Text.", "utf-8")
    with caplog.at_level(logging.WARNING):
        assert len(read(tmp_path)) == 1
    assert "3 files of unknown type are left out: Makefile, b.odt, c.docx" in caplog.text


def test_an_unknown_file_type_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "a.docx").write_bytes(b"PK")
    known = r"Give a file of type \.jsonl, \.json or \.tsv .*, \.parquet, \.txt, .*, \.pdf or a folder of documents"
    with pytest.raises(InputError, match=rf"a\.docx: files of type '\.docx' cannot be read\. {known}"):
        read(tmp_path / "a.docx")
    with pytest.raises(InputError, match=r"no document to read: it holds only files of type \.docx"):
        read(tmp_path)


def test_a_missing_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no document to read: it is empty"):
        read(tmp_path)


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html"])
@pytest.mark.bad_input
def test_a_file_that_is_not_utf_8_is_named_with_the_byte(tmp_path: Path, suffix: str) -> None:
    (tmp_path / "good.txt").write_text("Fine.", "utf-8")
    (tmp_path / f"latin{suffix}").write_bytes("Ein schöner Turm".encode("latin-1"))
    with pytest.raises(InputError, match=rf"latin\{suffix}: byte 7 \(0xf6\) is not UTF-8. Save the file as UTF-8"):
        read(tmp_path)


@pytest.mark.bad_input
def test_a_binary_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_bytes(b"abc\0\1\2")
    with pytest.raises(InputError, match=r"image\.txt: is a binary file, not UTF-8 text"):
        read(tmp_path)


def test_a_file_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xf6.txt")).write_text("Text.", "utf-8")
    with pytest.raises(InputError, match=r"is not UTF-8\. Rename it"):
        read(tmp_path)


@pytest.mark.bad_input
def test_a_file_that_goes_away_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"gone\.txt: cannot be read \(No such file"):
        read(tmp_path)


@pytest.mark.bad_input
def test_a_bad_line_of_a_jsonl_is_named(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"id": "1", "text": "One."}\n{"id": "1", "text": "Two."}\n', "utf-8")
    with pytest.raises(InputError, match=r"line 2, field id: the id '1' stands on line 1 already"):
        read(path)
    path.write_bytes(b'{"id": "1", "text": "\xff"}\n')
    with pytest.raises(InputError, match=r"line 1: byte .* is not UTF-8"):
        read(path)
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b'{"id": "1", "text": "One."}\n' * 100)[:-20])
    with pytest.raises(InputError, match=r"cut\.jsonl\.gz"):
        read(cut)
