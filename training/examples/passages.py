"""Corpora as the makers of examples see them: passages by id, documents, and what a passage says."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from semiparametric.errors import InputError
from semiparametric.formats import Passage, read_passages
from semiparametric.sentences import sentences


def read_corpora(paths: Iterable[Path]) -> dict[str, Passage]:
    """All passages by id, in order.

    Raises:
        InputError: A file or line is wrong, an id stands in two files, or there are no passages.
    """
    passages: dict[str, Passage] = {}
    read: list[str] = []
    for path in paths:
        read.append(str(path))
        for passage in read_passages(path):
            if passage.id in passages:
                raise InputError(f"the passage {passage.id!r} stands in another corpus too", where=str(path))
            passages[passage.id] = passage
    if not passages:
        raise InputError("there are no passages", where=", ".join(read))
    return passages


def normalized(text: str) -> str:
    """A text's words, lowered, one space between: equal for texts that say the same."""
    return " ".join(re.findall(r"\w+", text.lower()))


def documents(passages: Iterable[Passage]) -> list[list[Passage]]:
    """The passages by document, in order: neighbours with the same source (else the same id up to `#`, or title)."""
    return [list(group) for _, group in groupby(passages, key=document_name)]


def document_name(passage: Passage) -> str:
    """What document a passage belongs to."""
    return passage.source or passage.id.rpartition("#")[0] or passage.title or passage.id


@dataclass
class Sentences:
    """The sentences of passages that may be asked or answered, each passage split once.

    Attributes:
        min_words: Words of such a sentence at least.
        max_words: Words at most.
    """

    min_words: int
    max_words: int
    _known: dict[str, list[str]] = field(default_factory=dict)

    def of(self, passage: Passage) -> list[str]:
        """The passage's sentences of fitting length, in order, each on one line."""
        if passage.id not in self._known:
            found = (" ".join(sentence.split()) for sentence in sentences(passage.text))
            self._known[passage.id] = [one for one in found if self.min_words <= len(one.split()) <= self.max_words]
        return self._known[passage.id]


def title_golds(groups: Sequence[Sequence[Passage]]) -> Mapping[str, Passage]:
    """The first passage under each title or heading that means one place of one document.

    Of a title such as `Page > Section`, `Section` alone is a title too where no other one ends so.
    """
    golds: dict[str, Passage | None] = {}
    shown: dict[str, str] = {}
    for group in groups:
        new: dict[str, Passage] = {}
        for passage in group:
            title = " ".join(passage.title.split())
            for name in (title, title.rpartition(" > ")[2]):
                new.setdefault(normalized(name), passage)
                shown.setdefault(normalized(name), name)
        for name, passage in new.items():
            golds[name] = None if name in golds else passage
    return {shown[name]: passage for name, passage in golds.items() if passage is not None and name}
