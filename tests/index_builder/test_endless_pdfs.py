"""PDFs that are small and draw, number or mark without end: read in time, or refused."""

import io
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, IndirectObject, NameObject, StreamObject

from index_builder.readers import pdf
from semiparametric.errors import InputError

pytestmark = [pytest.mark.bad_input, pytest.mark.timeout(120)]


def drawing(content: bytes, forms: int = 0, pages: int = 1) -> bytes:
    """A PDF of pages with the same content; each form shows the one before it ten times."""
    writer = PdfWriter()
    shown: IndirectObject | None = None
    for _ in range(forms):
        form = StreamObject()
        form.set_data(b"/F Do " * 10 if shown else b"BT ET")
        form[NameObject("/Type")], form[NameObject("/Subtype")] = NameObject("/XObject"), NameObject("/Form")
        form[NameObject("/Resources")] = resources(shown)
        shown = writer._add_object(form)
    stream = StreamObject()
    stream.set_data(content)
    contents = writer._add_object(stream.flate_encode())
    for _ in range(pages):
        page = writer.add_blank_page(100, 100)
        page[NameObject("/Contents")], page[NameObject("/Resources")] = contents, resources(shown)
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def resources(form: IndirectObject | None) -> DictionaryObject:
    return DictionaryObject({NameObject("/XObject"): DictionaryObject({NameObject("/F"): form} if form else {})})


def test_a_pdf_that_draws_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "_MOST_OPERATIONS", 2_000)  # pypdf itself ends forms in forms at 5,000
    path = tmp_path / "a.pdf"
    for data in (drawing(b"/F Do", forms=12), drawing(b"q Q " * 2000, pages=50)):
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"a\.pdf: cannot be read as PDF \(.*more than 2,000 operations"):
            pdf.read_pdf(path)


def test_a_line_of_a_pdf_that_is_nearly_a_page_number_is_looked_at_in_time() -> None:
    for line in ("-" + " " * 50_000 + "x", "page" + " " * 50_000, "1" * 50_000 + "x", "-1" + "." * 50_000 + "of"):
        assert pdf._PAGE_NUMBER.fullmatch(line) is None


def test_many_bookmarks_on_a_page_of_many_lines_are_found_in_time() -> None:
    lines = [f"{number} Heading {number}" for number in range(20_000)]
    marks = [pdf._Bookmark(1, 1, f"Heading {number}") for number in range(20_000)]
    found = [part for part in pdf._flow([lines], marks) if isinstance(part, pdf._Bookmark)]
    assert found == marks
    assert not [part for part in pdf._flow([lines], marks) if isinstance(part, pdf._Paragraph)]
