"""Documents: what a reader of one file type makes of a file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Block:
    """A paragraph, a list item, a table row or a stretch of code."""

    text: str
    verbatim: bool = False  # code: its lines are its sentences
    page: int | None = None  # where it begins, counted from 1, in documents that have pages


@dataclass(frozen=True)
class Section:
    """What stands under one heading. `title` is the path of headings, `Page title > Section`."""

    title: str
    blocks: tuple[Block, ...]


class SectionCollector:
    """Gathers blocks under the headings they follow.

    The page's title stands first in every path; a first heading of the topmost level is that title itself.
    """

    def __init__(self, page_title: str) -> None:
        self._page_title = page_title
        self._headings: list[tuple[int, str]] = []
        self._blocks: list[Block] = []
        self._sections: list[Section] = []

    def heading(self, level: int, text: str) -> None:
        """Begin a section; deeper and equal levels before it end."""
        self._close()
        self._headings = [(other, title) for other, title in self._headings if other < level]
        self._headings.append((level, text))

    def block(self, text: str, *, verbatim: bool = False, page: int | None = None) -> None:
        """Add a block to the open section; blank ones are dropped."""
        if text.strip():
            self._blocks.append(Block(text.rstrip() if verbatim else text.strip(), verbatim, page))

    def sections(self) -> list[Section]:
        """All sections that hold text, in order."""
        self._close()
        return self._sections

    def _close(self) -> None:
        if self._blocks:
            names = [title for _, title in self._headings if title and title != self._page_title]
            self._sections.append(Section(" > ".join([self._page_title, *names]), tuple(self._blocks)))
        self._blocks = []
