"""Sections become passages: cut at sentence ends, up to a limit in words or in a pair's tokens."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from index_builder.documents import Block, Section
from semiparametric.sentences import sentences

Count = Callable[[Sequence[str]], list[int]]
"""The lengths of many texts, together because tokenizers are quicker so."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_LONGEST_LINE = 4000  # characters of a line of code; a longer one (minified, a table of numbers) is cut like prose
_LONGEST_TITLE = 1000  # characters of which it is tried how many fit


class Piece(NamedTuple):
    """A passage to be: its title, its text, and the page that it begins on, where there are pages."""

    title: str
    text: str
    page: int | None


class _Unit(NamedTuple):
    """A sentence with the white space after it, or a piece of one: what a passage is made of."""

    text: str
    length: int
    page: int | None
    is_whole: bool


def _text_alone(_title: str, text: str) -> str:
    return text


@dataclass(frozen=True)
class Splitter:
    """Splits sections into passages of similar length that end where a sentence ends (in code, a line).

    Only a sentence longer than the limit is itself cut, between words, and only a longer word between characters.

    Attributes:
        limit: Length of a passage at most, in its form.
        count: What lengths are counted in.
        form: A title and a text as they are counted; the text alone if none is given.
        overlap: Length of the whole sentences that a passage repeats from the end of the one before, at most.
    """

    limit: int
    count: Count
    form: Callable[[str, str], str] = _text_alone
    overlap: int = 0

    def split(self, section: Section) -> list[Piece]:
        """The passages of a section, in order."""
        title, taken = self._fitting_title(section.title)
        room = max(1, self.limit - taken)
        units = self._units([(text, block.page) for block in section.blocks for text in _sentences(block)], room)
        return [Piece(title, _joined(part), part[0].page) for part in self._parts(title, units, room)]

    def _parts(self, title: str, units: Sequence[_Unit], room: int) -> list[list[_Unit]]:
        """Units packed to passages whose form is within the limit; joined, texts may count more than their sum."""
        packed = [part for part in self._packed(units, room) if _joined(part)]
        sizes = self.count([self.form(title, _joined(part)) for part in packed])
        parts: list[list[_Unit]] = []
        for part, size in zip(packed, sizes, strict=True):
            if size <= self.limit or room == 1:
                parts.append(part)
            else:
                less = max(1, room - (size - self.limit))
                parts += self._parts(title, self._units([(unit.text, unit.page) for unit in part], less), less)
        return parts

    def _packed(self, units: Sequence[_Unit], room: int) -> Iterator[list[_Unit]]:
        total = sum(unit.length for unit in units)
        overlap = min(self.overlap, room // 2)
        following = max(0, ceil((total - room) / (room - overlap)))
        target = (total + following * overlap) / (following + 1)
        part: list[_Unit] = []
        length = 0
        for unit in units:
            if part and (length + unit.length > room or length >= target):
                yield part
                part = _end(part, min(overlap, room - unit.length))
                length = sum(each.length for each in part)
            part.append(unit)
            length += unit.length
        if part:
            yield part

    def _units(self, texts: Sequence[tuple[str, int | None]], room: int) -> list[_Unit]:
        lengths = self.count([text for text, _ in texts])
        units: list[_Unit] = []
        for (text, page), length in zip(texts, lengths, strict=True):
            if length <= room:
                units.append(_Unit(text, length, page, is_whole=True))
            else:
                units += [_Unit(piece, size, page, is_whole=False) for piece, size in self._cut(text, room)]
        return units

    def _cut(self, text: str, room: int) -> Iterator[tuple[str, int]]:
        """A text too long for one passage in pieces of whole words, each with its length."""
        piece, length = "", 0
        for word, size in self._words(text, room):
            if piece and length + size > room:
                yield piece, length
                piece, length = "", 0
            piece += word
            length += size
        yield piece, length

    def _words(self, text: str, room: int) -> Iterator[tuple[str, int]]:
        """Words with the space before them; one too long for a passage in slices that are sure to fit."""
        ends = [match.end() for match in _WORD.finditer(text)]
        words = [text[start:end] for start, end in pairwise([0, *ends[:-1], len(text)])]
        for word, size in zip(words, self.count(words), strict=True):
            if size <= room:
                yield word, size
                continue
            step = max(1, room // 4)  # a character is up to four tokens: its bytes
            slices = [word[start : start + step] for start in range(0, len(word), step)]
            yield from zip(slices, self.count(slices), strict=True)

    def _fitting_title(self, title: str) -> tuple[str, int]:
        """The title, cut to half a passage where it is longer, and what of the limit it takes."""
        taken = self._size(title)
        if taken <= self.limit // 2:
            return title, taken
        shown = title[:_LONGEST_TITLE]
        starts = [shown[: match.end()] for match in _WORD.finditer(shown)]
        sizes = self.count([self.form(start, "") for start in starts])
        fitting = [(start, size) for start, size in zip(starts, sizes, strict=True) if size <= self.limit // 2]
        return fitting[-1] if fitting else ("", self._size(""))

    def _size(self, title: str) -> int:
        return self.count([self.form(title, "")])[0]


def by_words(limit: int, overlap: int = 0) -> Splitter:
    """A splitter that counts words of the text: runs of non-space, and each Chinese, Japanese or Korean character."""
    return Splitter(limit, lambda texts: [count_words(text) for text in texts], overlap=overlap)


def count_words(text: str) -> int:
    """Words of a text, as `by_words` counts them."""
    return len(_WORD.findall(text))


def _sentences(block: Block) -> list[str]:
    """A block's sentences, or its lines where it is code; the last one ends the line."""
    parts = [block.text]
    if block.verbatim:
        parts = block.text.splitlines(keepends=True)
    if not block.verbatim or max(map(len, parts)) > _LONGEST_LINE:
        parts = [sentence for part in parts for sentence in sentences(part)]
    parts[-1] += "\n"
    return parts


def _end(part: Sequence[_Unit], most: int) -> list[_Unit]:
    """The last whole sentences of a passage, of a length of `most` at most."""
    end: list[_Unit] = []
    for unit in reversed(part):
        most -= unit.length
        if most < 0 or not unit.is_whole:
            break
        end.insert(0, unit)
    return end


def _joined(part: Sequence[_Unit]) -> str:
    return "".join(unit.text for unit in part).strip()
