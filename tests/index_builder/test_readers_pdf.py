"""PDF documents: bookmarks as headings, pages as metadata, and files that cannot be read."""

from pathlib import Path

import pytest

from index_builder.corpus import read_corpus
from index_builder.reading import Reading
from index_builder.splitting import by_words
from semiparametric.errors import InputError
from semiparametric.formats import Passage
from tests.index_builder.pdf_files import write_pdf


def read(path: Path, words: int = 100) -> list[Passage]:
    return list(read_corpus([path], Reading(by_words(words))))


def shown(path: Path, words: int = 100) -> list[tuple[str, str, object]]:
    return [(passage.title, passage.text, passage.metadata["page"]) for passage in read(path, words)]


def test_bookmarks_are_the_headings_and_their_lines_no_text(tmp_path: Path) -> None:
    path = tmp_path / "rules.pdf"
    pages = [
        ["1 The lamp", "It is lit at", "dusk.", "1.1 Oil", "Whale oil is used", "no more.", "Colza is."],
        ["2 Visitors", "They come on Mondays."],
    ]
    write_pdf(path, pages, [("The lamp", 1, 1), ("Oil", 2, 1), ("Visitors", 1, 2)], title="Rules of the tower")
    assert shown(path) == [
        ("Rules of the tower > The lamp", "It is lit at dusk.", 1),
        ("Rules of the tower > The lamp > Oil", "Whale oil is used no more. Colza is.", 1),
        ("Rules of the tower > Visitors", "They come on Mondays.", 2),
    ]
    assert read(path)[0].id == "rules.pdf#1"
    assert read(path)[0].metadata == {"file": "rules.pdf", "page": 1}


def test_without_bookmarks_passages_tell_the_page_that_they_begin_on(tmp_path: Path) -> None:
    path = tmp_path / "log.pdf"
    write_pdf(path, [["Wind from the west. The sea is", "calm and"], ["grey. A ship passed."], ["All is well."]])
    assert shown(path, words=7) == [
        ("log", "Wind from the west.", 1),
        ("log", "The sea is calm and grey.", 1),
        ("log", "A ship passed.\nAll is well.", 2),
    ]


def test_running_heads_page_numbers_and_hyphens_are_taken_out(tmp_path: Path) -> None:
    path = tmp_path / "book.pdf"
    words = ("north", "east", "south", "west")
    pages = [
        [f"The book, page {n}", f"The {word} light-", f"house is {word}.", f"- {n} -"] for n, word in enumerate(words)
    ]
    write_pdf(path, pages)
    (passage,) = read(path)
    assert passage.text.splitlines() == [f"The {word} lighthouse is {word}." for word in words]


def test_a_bookmark_whose_line_is_not_found_begins_its_page(tmp_path: Path) -> None:
    path = tmp_path / "scan.pdf"
    write_pdf(path, [["First words."], ["Second words."]], [("Chapter two", 1, 2)])
    assert [title for title, _, _ in shown(path)] == ["scan", "scan > Chapter two"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"no PDF at all", "cannot be read as PDF"),
        (b"%PDF-1.7\n1 0 obj\n<<", "cannot be read as PDF"),
        (b"", "cannot be read as PDF"),
    ],
)
def test_a_broken_pdf_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "broken.pdf").write_bytes(data)
    with pytest.raises(InputError, match=rf"broken\.pdf: {said}"):
        read(tmp_path)


def test_a_pdf_cut_in_the_middle_is_refused_or_read_in_part(tmp_path: Path) -> None:
    write_pdf(tmp_path / "whole.pdf", [[f"Page {n} has words."] for n in range(5)])
    data = (tmp_path / "whole.pdf").read_bytes()
    for cut in range(0, len(data), 97):
        (tmp_path / "cut.pdf").write_bytes(data[:cut])
        try:
            assert all("words" in passage.text for passage in read(tmp_path / "cut.pdf"))
        except InputError as error:
            assert "cut.pdf" in str(error)  # noqa: PT017 - both ends are right


def test_a_pdf_without_text_or_with_a_password_is_refused(tmp_path: Path) -> None:
    write_pdf(tmp_path / "empty.pdf", [[], []])
    with pytest.raises(InputError, match=r"empty\.pdf: no page of this PDF holds text\. If it was scanned"):
        read(tmp_path / "empty.pdf")
    write_pdf(tmp_path / "locked.pdf", [["Secret."]], password="mill")
    with pytest.raises(InputError, match=r"locked\.pdf: needs a password\. Save it without one"):
        read(tmp_path / "locked.pdf")
