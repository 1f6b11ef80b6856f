"""Texts that repeat or nest without end, and numbers and titles that no parser takes: read in time, or refused."""

from pathlib import Path

import pytest

from index_builder.corpus import read_corpus
from index_builder.reading import Reading
from index_builder.splitting import by_words
from semiparametric.errors import InputError
from semiparametric.formats import Passage

pytestmark = [pytest.mark.bad_input, pytest.mark.timeout(120)]


def read(path: Path) -> list[Passage]:
    return list(read_corpus([path], Reading(by_words(100))))


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    for name, text in (("c.jsonl", '{"id": "a", "docs": %s}\n'), ("c.json", '[{"id": "a", "docs": %s}]')):
        (tmp_path / name).write_text(text % ("9" * 5000))
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


def test_tables_in_tables_are_told_once_however_deep(tmp_path: Path) -> None:
    path = tmp_path / "deep.html"
    path.write_text("<table><tr><td>Key 7.<table><tr><td>North.</td></tr></table></td><td>End.</td></tr></table>")
    assert [passage.text for passage in read(path)] == ["Key 7. North. | End."]
    path.write_text("<table><tr><td>word " * 2000)
    assert sum(passage.text.count("word") for passage in read(path)) == 2000


@pytest.mark.parametrize(
    "text",
    [
        "---\ntitle: 2026-99-99\n---\nThe lamp.",
        "---\n" + "[" * 3000 + "\n---\nThe lamp.",
        "---\na: &a [x,x]\n"
        + "".join(f"b{n}: &b{n} [*{f'b{n - 1}' if n else 'a'}, *a]\n" for n in range(60))
        + "---\nThe lamp.",
        "---\n" + "a: b\n" * 200_000 + "---\nThe lamp.",
    ],
    ids=["no such day", "deep", "aliases", "long"],
)
def test_front_matter_of_any_kind_leaves_the_document_to_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(text)
    assert read(path)[-1].text == "The lamp."


PATTERNS = [
    "- " * 3000,
    "> " * 3000,
    "[" * 20_000,
    "![" * 2000,
    "`" * 10_000 + "a",
    "*a_" * 7000,
    "&" * 20_000,
    "<!--" * 2000,
]
MARKUP = [
    "<a>" * 10_000,
    "<!" * 4000,
    "</" * 20_000,
    "<p" * 4000,
    "<nav>" * 5000,
    "<h1>" * 5000,
    "&#" * 20_000,
    "<![CDATA[" * 2000,
]
SPACES = [
    "\n" + " " * 40_000 + "x",
    "1" * 40_000 + "\n",
    "- " + " " * 40_000 + "x\n\n",
    "!" + "'" * 40_000 + "x",
    "a. " * 2500,
]


@pytest.mark.parametrize(("suffix", "texts"), [("md", PATTERNS), ("html", MARKUP), ("txt", SPACES)])
def test_text_that_repeats_without_end_is_read_in_time(tmp_path: Path, suffix: str, texts: list[str]) -> None:
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.{suffix}"
        path.write_text(f"The lamp.\n\n{text}")
        assert read(path)[0].text.startswith("The lamp.")
