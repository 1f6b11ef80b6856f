"""HTML, parsed by Beautiful Soup: what a reader of the page sees, without scripts, styles and navigation."""

import re
from collections.abc import Iterator

from bs4 import BeautifulSoup
from bs4.element import NavigableString, PageElement, PreformattedString, Tag

from index_builder.documents import Section, SectionCollector

_UNSEEN = ["script", "style", "template", "noscript", "nav", "svg", "head"]
_HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
# fmt: off
_INLINE = {
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd", "label",
    "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
}
# fmt: on
_SPACE = re.compile(r"\s+")


def read_html(text: str, name: str) -> list[Section]:
    """One section per heading. The page is titled by its first top heading, its title element or its file's name."""
    soup = BeautifulSoup(text, "html.parser")
    heading, title = soup.find("h1"), soup.find("title")
    titles = [_one_line(tag.get_text()) for tag in (heading, title) if tag]
    for tag in soup(_UNSEEN):
        tag.decompose()
    collector = SectionCollector(next((title for title in titles if title), name))
    _Walk(collector).through(soup)
    return collector.sections()


def html_text(text: str) -> str:
    """The words of a fragment of HTML."""
    soup = BeautifulSoup(text, "html.parser")
    for tag in soup(_UNSEEN):
        tag.decompose()
    return _one_line(soup.get_text(" "))


class _Walk:
    """Goes through a page in reading order; text between two block elements is one block.

    Without recursion: pages with thousands of unclosed tags exist.
    """

    def __init__(self, collector: SectionCollector) -> None:
        self._collector = collector
        self._pieces: list[str] = []

    def through(self, page: BeautifulSoup) -> None:
        """Collect all headings and blocks of a page."""
        ahead: list[PageElement | None] = [page]  # the next one last; None ends a block
        while ahead:
            element = ahead.pop()
            if element is None:
                self._end_block()
            elif isinstance(element, Tag):
                ahead += reversed(self._contents(element))
            elif isinstance(element, NavigableString) and not isinstance(element, PreformattedString):  # no comments
                self._pieces.append(element)

    def _contents(self, tag: Tag) -> list[PageElement | None]:
        """What of a tag is still to be gone through."""
        if tag.name in {"br", "img"}:
            self._pieces.append(f" {tag.get('alt', '')} ")
            return []
        if tag.name in _INLINE:
            return [*tag.contents]
        self._end_block()
        if tag.name in _HEADINGS:
            self._collector.heading(int(tag.name[1]), _one_line(tag.get_text()))
        elif tag.name == "pre":
            self._collector.block(tag.get_text().strip("\n"), verbatim=True)
        elif tag.name == "tr":
            self._collector.block(" | ".join(_one_line(cell.get_text(" ")) for cell in _cells(tag)))
        else:
            return [*tag.contents, None]
        return []

    def _end_block(self) -> None:
        self._collector.block(_one_line("".join(self._pieces)))
        self._pieces = []


def _cells(row: Tag) -> Iterator[Tag]:
    """The cells of a row, but not those of tables inside of them: each text is told once, however deep it is nested."""
    ahead = [*reversed(row.contents)]
    while ahead:
        element = ahead.pop()
        if isinstance(element, Tag) and element.name in {"th", "td"}:
            yield element
        elif isinstance(element, Tag):
            ahead += reversed(element.contents)


def _one_line(text: str) -> str:
    return _SPACE.sub(" ", text).strip()
