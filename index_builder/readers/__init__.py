"""One reader per document type. A new type is one function `(text, name) -> list[Section]` and one entry here."""

from collections.abc import Callable, Mapping

from index_builder.documents import Section
from index_builder.readers.html import read_html
from index_builder.readers.markdown import read_markdown
from index_builder.readers.plain import read_plain

Reader = Callable[[str, str], list[Section]]

DOCUMENT_READERS: Mapping[str, Reader] = {
    ".txt": read_plain,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
}

__all__ = ["DOCUMENT_READERS", "Reader"]
