"""PDF files of a few lines, written with pypdf."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

Mark = tuple[str, int, int]
"""A bookmark: its title, its level from 1, and its page from 1."""


def write_pdf(
    path: Path,
    pages: Sequence[Sequence[str]],
    marks: Sequence[Mark] = (),
    *,
    title: str | None = None,
    password: str | None = None,
) -> None:
    """Write pages of lines with bookmarks; a blank line leaves a gap."""
    writer = PdfWriter()
    for lines in pages:
        page = writer.add_blank_page(width=595, height=842)
        font = {NameObject(f"/{key}"): NameObject(f"/{name}") for key, name in _FONT.items()}
        fonts = DictionaryObject({NameObject("/F1"): DictionaryObject(font)})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        content = DecodedStreamObject()
        content.set_data(_content(lines))
        page[NameObject("/Contents")] = writer._add_object(content)
    parents: dict[int, Any] = {}
    for name, level, number in marks:
        parents[level] = writer.add_outline_item(title=name, page_number=number - 1, parent=parents.get(level - 1))
    if title is not None:
        writer.add_metadata({"/Title": title})
    if password is not None:
        writer.encrypt(password, algorithm="RC4-128")
    writer.write(path)


_FONT = {"Type": "Font", "Subtype": "Type1", "BaseFont": "Helvetica"}


def _content(lines: Sequence[str]) -> bytes:
    shown = ["BT /F1 11 Tf 60 780 Td 14 TL"]
    for line in lines:
        escaped = line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        shown.append(f"({escaped}) Tj T*")
    return " ".join([*shown, "ET"]).encode("latin-1")
