"""Which passages may not be negatives, though a search finds them: the right ones, by id or by what they say."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from semiparametric.formats import Example, Passage
from training.examples.passages import normalized
from training.mining.lookups import Lookup, lookups_of


class Exclusion:
    """Knows the gold passages of every question: one example's gold is no negative of another that asks the same.

    Args:
        examples: All examples that are mined for.
        passages: The corpus; it holds every gold passage.
        allow_answers: Whether passages that hold an answer may be negatives.
    """

    def __init__(self, examples: Iterable[Example], passages: Mapping[str, Passage], *, allow_answers: bool) -> None:
        self._passages = passages
        self._allow_answers = allow_answers
        self._golds: dict[str, set[str]] = {}
        for example in examples:
            golds = self._golds.setdefault(normalized(example.question), set())
            golds.update(lookup.gold for lookup in lookups_of([example]))
        self._words = lru_cache(maxsize=100_000)(self._words_of)

    def admissible(self, lookup: Lookup, found: Iterable[str]) -> list[str]:
        """The passages found that are not right, in order; ids that the corpus does not have are left out."""
        golds = self._golds[normalized(lookup.example.question)]
        said = {normalized(self._passages[gold].text) for gold in golds}
        answers = [] if self._allow_answers else self._answers(lookup)
        kept = []
        for name in found:
            passage = self._passages.get(name)
            if passage is None or name in golds or normalized(passage.text) in said:
                continue
            words = self._words(name)
            if not any(answer in words for answer in answers):
                kept.append(name)
        return kept

    def _answers(self, lookup: Lookup) -> list[str]:
        told = {normalized(text) for text in (*lookup.example.answers, lookup.segment.text)}
        return [f" {answer} " for answer in told if answer]

    def _words_of(self, name: str) -> str:
        """Title and text in a form in which whole words can be found."""
        passage = self._passages[name]
        return f" {normalized(passage.title)} | {normalized(passage.text)} "
