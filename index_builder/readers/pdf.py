"""PDF, parsed by pypdf: its bookmarks are the headings, and each paragraph knows its page."""

import io
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pypdf import PdfReader

from index_builder.documents import Section, SectionCollector
from index_builder.readers.text import document_bytes
from semiparametric.errors import InputError
from semiparametric.sentences import sentences

_ITEM = re.compile(r"([\u2022\u25aa\u25cf\u25e6*\u2013-]|\d{1,3}[.)])\s")
_PAGE_NUMBER = re.compile(r"\W*((page|seite|p\.)\s*)?\d+\W*(of \d+\W*)?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.!?:;\u2026\u3002\uff01\uff1f][\"'\u201d\u2019)\]]*$")
_NUMBER = re.compile(r"\d+")
_HEADING_LINES = 3  # a heading may run over so many
_LEADING_DIGITS = re.compile(r"\d{1,12}")  # the number of a heading
_MOST_OPERATIONS = 20_000_000  # of drawing; a book of a thousand pages has a few million


@dataclass(frozen=True)
class _Bookmark:
    page: int
    level: int
    title: str


@dataclass(frozen=True)
class _Paragraph:
    page: int
    text: str


def read_pdf(path: Path) -> list[Section]:
    """One section per bookmark, or one for the whole where there are none; titled by the document or its file's name.

    Raises:
        InputError: The file cannot be read as PDF, needs a password, or holds no text.
    """
    data = document_bytes(path)
    try:
        parsed = _parsed(PdfReader(io.BytesIO(data)))
    except Exception as error:
        # a malformed file ends pypdf in any of a dozen kinds of error
        raise InputError(f"cannot be read as PDF ({type(error).__name__}: {error})", where=str(path)) from error
    if parsed is None:
        raise InputError("needs a password", where=str(path), remedy="Save it without one")
    title, bookmarks, pages = parsed
    if not any(line.strip() for lines in pages for line in lines):
        raise InputError(
            "no page of this PDF holds text", where=str(path), remedy="If it was scanned, run text recognition first"
        )
    collector = SectionCollector(title if " " in title else path.stem)  # one word is some program's file name
    for part in _whole_sentences(_flow(_without_running_heads(pages), bookmarks)):
        if isinstance(part, _Bookmark):
            collector.heading(part.level, part.title)
        else:
            collector.block(part.text, page=part.page)
    return collector.sections()


def _parsed(reader: PdfReader) -> tuple[str, list[_Bookmark], list[list[str]]] | None:
    """Title, bookmarks in the order of pages, and the lines of each page; None where a password is needed."""
    if reader.is_encrypted and not reader.decrypt(""):
        return None
    title = _clean(str((reader.metadata and reader.metadata.title) or ""))
    bookmarks = sorted(_bookmarks(reader, reader.outline), key=lambda mark: mark.page)
    count = _Budget()
    texts = []
    for page in reader.pages:
        texts.append(page.extract_text(visitor_operand_before=count))
        count.check()
    return " ".join(title.split()), bookmarks, [_clean(text).splitlines() for text in texts]


class _Budget:
    """Ends the reading of a document that draws without end: pages and forms may show the same thing again and again.

    pypdf bounds what one page does (7.1 and newer), this what all of them do. It asks before each operation.
    """

    def __init__(self) -> None:
        self._left = _MOST_OPERATIONS

    def __call__(self, *_: object) -> None:
        self._left -= 1
        self.check()

    def check(self) -> None:
        """Ask again after each page: within a form pypdf passes over the error, and goes on."""
        if self._left < 0:
            raise ValueError(f"it takes more than {_MOST_OPERATIONS:,} operations")


def _clean(text: str) -> str:
    """Text without what fonts that lie about their characters leave in it."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _bookmarks(reader: PdfReader, outline: Sequence[Any], level: int = 1) -> Iterator[_Bookmark]:
    for entry in outline:
        if isinstance(entry, list):
            yield from _bookmarks(reader, entry, level + 1)
            continue
        page = reader.get_destination_page_number(entry)
        title = " ".join(_clean(str(entry.title or "")).split())
        if page is not None and title:
            yield _Bookmark(page + 1, level, title)


def _without_running_heads(pages: Sequence[list[str]]) -> list[list[str]]:
    """Pages without page numbers, and without first and last lines that most pages share."""
    kept = [[line.strip() for line in lines] for lines in pages]
    for _ in range(2):
        for end in (0, -1):
            for lines in kept:
                while lines and not lines[end]:
                    lines.pop(end)
            edges = Counter(_NUMBER.sub("#", lines[end]) for lines in kept if lines)
            for lines in kept:
                if lines and (_is_running(lines[end], edges, len(kept))):
                    lines.pop(end)
    return kept


def _is_running(line: str, edges: Counter[str], num_pages: int) -> bool:
    repeated = num_pages > 2 and edges[_NUMBER.sub("#", line)] > num_pages / 2  # two may be equal by chance
    return repeated or _PAGE_NUMBER.fullmatch(line) is not None


def _flow(pages: Sequence[list[str]], bookmarks: Sequence[_Bookmark]) -> Iterator[_Bookmark | _Paragraph]:
    """Headings and paragraphs in reading order."""
    marks: dict[int, list[_Bookmark]] = {}
    for mark in bookmarks:
        marks.setdefault(mark.page, []).append(mark)
    for number, lines in enumerate(pages, start=1):
        begin = 0
        places = _places(lines) if number in marks else {}
        for mark in marks.get(number, ()):
            start, end = _found(mark.title, places, begin)
            yield from _paragraphs(lines[begin:start], number)
            yield mark
            begin = end
        yield from _paragraphs(lines[begin:], number)


_Places = Mapping[str, Sequence[tuple[int, int]]]


def _places(lines: Sequence[str]) -> _Places:
    """The ranges of lines that show a heading of these words, ascending, with its number before it or without."""
    places: dict[str, list[tuple[int, int]]] = {}
    bare = [_bare(line) for line in lines]
    for start in range(len(bare)):
        for end in range(start + 1, min(start + _HEADING_LINES, len(bare)) + 1):
            shown = "".join(bare[start:end])
            digits = _LEADING_DIGITS.match(shown)
            for prefix in range(len(digits[0]) + 1 if digits else 1):
                places.setdefault(shown[prefix:], []).append((start, end))
    return places


def _found(title: str, places: _Places, begin: int) -> tuple[int, int]:
    """The lines that show a heading, as a range; an empty one at `begin` where none do."""
    wanted = _bare(title)
    ranges = places.get(wanted, ()) if wanted else ()
    first = bisect_left(ranges, (begin, 0))
    return ranges[first] if first < len(ranges) else (begin, begin)


def _bare(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _paragraphs(lines: Sequence[str], page: int) -> Iterator[_Paragraph]:
    """Lines between blank ones, joined; an item of a list begins anew."""
    text = ""
    for line in [*lines, ""]:
        if text and (not line or _ITEM.match(line)):
            yield _Paragraph(page, text)
            text = ""
        text = _continued(text, line)


def _continued(text: str, line: str) -> str:
    """A text and its next line; a word that was divided becomes whole."""
    if len(text) > 1 and text[-1] == "-" and text[-2].isalpha() and line[:1].islower():
        return text[:-1] + line
    return f"{text} {line}" if text and line else text or line


def _whole_sentences(parts: Iterator[_Bookmark | _Paragraph]) -> Iterator[_Bookmark | _Paragraph]:
    """A sentence that runs over the end of a page joins the paragraph that it began in."""
    last: _Bookmark | _Paragraph | None = None
    for part in parts:
        following: _Bookmark | _Paragraph | None = part
        if isinstance(part, _Paragraph) and isinstance(last, _Paragraph) and _runs_on(last, part):
            first, *rest = sentences(part.text)
            last = replace(last, text=_continued(last.text, first.strip()))
            following = replace(part, text="".join(rest).strip()) if rest else None
        if following is not None:
            if last is not None:
                yield last
            last = following
    if last is not None:
        yield last


def _runs_on(last: _Paragraph, part: _Paragraph) -> bool:
    return part.page == last.page + 1 and not _SENTENCE_END.search(last.text) and not _ITEM.match(part.text)
