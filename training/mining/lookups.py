"""The lookups of examples: what each is made with, and what a search for them gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage, Segment
from semiparametric.query_text import query_text
from training.sequences import joined_texts


@dataclass(frozen=True)
class Lookup:
    """A cited segment of an example, with the text so far."""

    example: Example
    segment: Segment
    text: str

    @property
    def gold(self) -> str:
        """The id of the passage that belongs there."""
        return str(self.segment.passage_id)


class Searcher(Protocol):
    """Finds passages for the lookups of examples."""

    def search(self, examples: Sequence[Example], top_k: int) -> list[list[str]]:
        """Passage ids, best first, at most `top_k` for each lookup, in the order of `lookups_of`."""


def lookups_of(examples: Sequence[Example]) -> list[Lookup]:
    """The lookups of examples, in order."""
    found = []
    for example in examples:
        answer = ""
        for segment, text in zip(example.segments, joined_texts(example), strict=True):
            if segment.passage_id is not None:
                found.append(Lookup(example, segment, query_text(example.question, answer)))
            answer += text
    return found


def check_golds(examples: Sequence[Example], passages: Mapping[str, Passage]) -> None:
    """Raise InputError where an example cites a passage that the corpus does not have."""
    for lookup in lookups_of(examples):
        if lookup.gold not in passages:
            raise InputError(
                f"it cites the passage {lookup.gold!r}, which is not in the corpus",
                where=f"example {lookup.example.id!r}",
                remedy="Add the corpus that holds it with --corpus",
            )
