"""One reader per document type. A new type is one function `(path) -> list[Section]` and one entry here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from index_builder.documents import Section
from index_builder.readers.html import read_html
from index_builder.readers.markdown import read_markdown
from index_builder.readers.pdf import read_pdf
from index_builder.readers.plain import read_plain
from index_builder.readers.text import of_text

Reader = Callable[[Path], list[Section]]

DOCUMENT_READERS: Mapping[str, Reader] = {
    ".txt": of_text(read_plain),
    ".md": of_text(read_markdown),
    ".markdown": of_text(read_markdown),
    ".html": of_text(read_html),
    ".htm": of_text(read_html),
    ".pdf": read_pdf,
}

__all__ = ["DOCUMENT_READERS", "Reader"]
