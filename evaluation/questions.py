"""A question with all that is known to be right about it, whatever format it came in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from semiparametric.formats import Example

Names = Literal["passage", "page"]
"""What evidence names: passages by their id, or Wikipedia pages, as KILT does."""

PAGE_FIELD = "wikipedia_id"
"""The metadata of a passage that says which page it stands on."""


@dataclass(frozen=True)
class Question:
    """What is asked, and what would be right.

    references: acceptable answers.
    evidence: sets of passages, or of pages; each supports an answer once all of it is found.
    gold_passages: ids of passages to read for the answer, where they are known; a corpus may lack some.
    parts: short answers, each with its aliases, all of which a full answer holds (ALCE's ASQA).
    listed: answers of a list, each with its aliases (ALCE's QAMPARI).
    claims: sentences that a full answer entails (ALCE's ELI5).
    candidates: ids of the only passages that may be looked up; None for all of the store.
    """

    id: str
    text: str
    task: str = ""
    references: tuple[str, ...] = ()
    evidence: tuple[frozenset[str], ...] = ()
    names: Names = "passage"
    gold_passages: tuple[str, ...] = ()
    parts: tuple[tuple[str, ...], ...] = ()
    listed: tuple[tuple[str, ...], ...] = ()
    claims: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None

    @property
    def is_answerable(self) -> bool:
        """Whether anything is right; a question without is there to be left unanswered."""
        return bool(self.references or self.evidence or self.parts or self.listed or self.claims)

    @property
    def gold_names(self) -> set[str]:
        """All names of the evidence."""
        return {name for names in self.evidence for name in names}


def question_of(example: Example, not_answers: Iterable[str] = ()) -> Question:
    """An example as a question.

    Where it gives no answers, the text of its segments is the reference. `not_answers` are placeholders, such as `NA`,
    which are no reference wherever they stand.
    """
    gold = tuple(dict.fromkeys(one.passage_id for one in example.cited if one.passage_id is not None))
    left_out = set(not_answers)
    given: Sequence[str] = [answer for answer in example.answers if answer.strip() and answer not in left_out]
    said = " ".join(segment.text.strip() for segment in example.segments)
    return Question(
        id=example.id,
        text=example.question,
        task=example.task,
        references=tuple(given) or ((said,) if said and said not in left_out else ()),
        evidence=(frozenset(gold),) if gold else (),
        gold_passages=gold,
    )
