"""Sections become passages: cut at sentence ends, up to a limit in words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from index_builder.documents import Block, Section
from semiparametric.sentences import sentences

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


@dataclass(frozen=True)
class _Unit:
    """A sentence with the white space after it: what a passage is made of."""

    text: str
    words: int


def split_section(section: Section, passage_words: int) -> list[str]:
    """The texts of a section's passages, each of at most `passage_words` words.

    A passage ends at the end of a sentence (in code, of a line), and parts of one section are of similar length. Only a
    sentence longer than the limit is itself cut, between words. A word is a run of non-space characters; each Chinese,
    Japanese or Korean character counts as one.
    """
    units = [unit for block in section.blocks for unit in _units(block, passage_words)]
    total = sum(unit.words for unit in units)
    target = total / max(1, ceil(total / passage_words))
    texts, part, words = [], "", 0
    for unit in units:
        if part and (words + unit.words > passage_words or words >= target):
            texts.append(part.strip())
            part, words = "", 0
        part += unit.text
        words += unit.words
    return [text for text in [*texts, part.strip()] if text]


def count_words(text: str) -> int:
    """Words of a text, as `split_section` counts them."""
    return len(_WORD.findall(text))


def _units(block: Block, passage_words: int) -> Iterator[_Unit]:
    parts = block.text.splitlines(keepends=True) if block.verbatim else sentences(block.text)
    parts[-1] += "\n"
    for part in parts:
        for piece in _pieces(part, passage_words):
            yield _Unit(piece, count_words(piece))


def _pieces(sentence: str, passage_words: int) -> list[str]:
    """The sentence whole, or cut between words where it is longer than a passage may be."""
    starts = [match.start() for match in _WORD.finditer(sentence)]
    cuts = [0, *starts[passage_words::passage_words], len(sentence)]
    return [sentence[start:end] for start, end in pairwise(cuts)]
