"""Citation recall and precision of ALCE, and the paper's grounding, by any judge of whether a text follows from others.

A judgement is asked for as a pair (premise, hypothesis), and a whole set's pairs are judged in batches: functions here
say which pairs they need (`needed`), and count once all are known.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

Pair = tuple[str, str]
"""Premise and hypothesis."""

Entails = Callable[[str, str], bool]

_MOST_CITATIONS = 3
"""Citations of a statement that count, the first ones, as ALCE has it by default."""


@dataclass(frozen=True)
class Statement:
    """A sentence of an answer and the passages that it cites, in order, formatted; None where one does not exist."""

    text: str
    passages: tuple[str | None, ...]


@dataclass(frozen=True)
class Span:
    """`answer[start:end]` is cited to a passage; None for one that does not exist."""

    start: int
    end: int
    passage: str | None


def statements_of(sentences: Sequence[str], spans: Sequence[Span]) -> list[Statement]:
    """The sentences of an answer, which joined are the answer; each cites the passages of the spans that overlap it."""
    statements = []
    start = 0
    for sentence in sentences:
        end = start + len(sentence)
        if sentence.strip():
            cited = tuple(span.passage for span in spans if span.start < end and span.end > start)
            statements.append(Statement(sentence.strip(), cited))
        start = end
    return statements


def citation_recall(statements: Sequence[Statement], entails: Entails) -> float:
    """Share of statements that follow from the passages they cite, joined; one that cites none does not."""
    return sum(_is_supported(one, entails) for one in statements) / len(statements) if statements else 0.0


def citation_precision(statements: Sequence[Statement], entails: Entails) -> float:
    """Share of citations that are needed, or enough alone, in a statement that is supported; 0 without citations."""
    counted = [one for one in statements if None not in one.passages]
    num_citations = sum(len(_premises(one)) for one in counted)
    return sum(_num_credited(one, entails) for one in counted) / num_citations if num_citations else 0.0


def grounding(pairs: Sequence[Pair], entails: Entails) -> float:
    """The paper's: share of the cited sentences (`grounding_pairs`) that follow from their passage; 0 without any."""
    return sum(entails(*pair) for pair in pairs) / len(pairs) if pairs else 0.0


def grounding_pairs(sentences: Sequence[str], spans: Sequence[Span]) -> list[Pair]:
    """Passage and sentence of each judgement of the paper's grounding; the sentences, joined, are the answer.

    A sentence is cut where a citation ends. Text between citations is joined to the next one; what comes after the last
    one does not count.
    """
    answer = "".join(sentences)
    ends = list(accumulate(map(len, sentences)))
    pairs = []
    start = 0
    for span in sorted(spans, key=lambda span: span.start):
        cuts = [start, *(end for end in ends if start < end < span.end), span.end]
        texts = [answer[first:last].strip() for first, last in pairwise(cuts)]
        pairs += [(span.passage or "", text) for text in texts if text]
        start = max(start, span.end)
    return pairs


def needed(statements: Sequence[Statement]) -> list[Pair]:
    """All judgements that recall and precision may ask for."""
    pairs = []
    for one in statements:
        premises = _premises(one)
        if not premises or None in one.passages:
            continue
        pairs.append((_joined(premises), one.text))
        if len(premises) > 1:
            pairs += [(premise, one.text) for premise in premises]
            pairs += [(_joined(_without(premises, place)), one.text) for place in range(len(premises))]
    return pairs


def _premises(statement: Statement) -> list[str]:
    return [passage for passage in statement.passages[:_MOST_CITATIONS] if passage is not None]


def _joined(premises: Sequence[str]) -> str:
    return "\n".join(premises)


def _without(premises: Sequence[str], place: int) -> list[str]:
    return [*premises[:place], *premises[place + 1 :]]


def _is_supported(statement: Statement, entails: Entails) -> bool:
    """A statement that cites a passage that does not exist is not supported, whatever else it cites."""
    premises = _premises(statement)
    return bool(premises) and None not in statement.passages and entails(_joined(premises), statement.text)


def _num_credited(statement: Statement, entails: Entails) -> int:
    if not _is_supported(statement, entails):
        return 0
    premises = _premises(statement)
    if len(premises) == 1:
        return 1
    return sum(
        entails(premise, statement.text) or not entails(_joined(_without(premises, place)), statement.text)
        for place, premise in enumerate(premises)
    )
