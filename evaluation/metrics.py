"""What makes an answer and its lookups good: pure functions of texts and passage ids.

Texts are compared as KILT compares them: lower case, no punctuation, no articles, single spaces.
"""

import re
import string
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def normalise(text: str) -> str:
    """KILT's normal form: lower case, punctuation deleted, articles dropped, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, references: Iterable[str]) -> bool:
    """Whether the answer's normal form is that of a reference."""
    return normalise(answer) in {normalise(reference) for reference in references}


def token_f1(answer: str, references: Iterable[str]) -> float:
    """Harmonic mean of token precision and recall in normal form, against the closest reference; 0 without one."""
    found = normalise(answer).split()
    return max((_f1(found, normalise(reference).split()) for reference in references), default=0.0)


def contains(answer: str, references: Iterable[str]) -> bool:
    """Whether the answer's normal form contains that of a reference, as the paper counts a right answer.

    A reference of which nothing is left ("the") is contained in no answer.
    """
    said = normalise(answer)
    return any(wanted in said for wanted in map(normalise, references) if wanted)


def stands_in(span: str, passage: str) -> bool:
    """Whether a span stands in a passage word for word, both in normal form; an empty span stands nowhere."""
    wanted = normalise(span)
    return bool(wanted) and f" {wanted} " in f" {normalise(passage)} "


def recall_at(k: int, found: Sequence[Sequence[str]], gold: Sequence[Collection[str]]) -> float:
    """Share of lookups that have one of their gold passages among the first `k` found.

    Args:
        k: How many of the found passages count.
        found: Passage ids of each lookup, best first.
        gold: Ids of the passages that are right for each lookup.
    """
    hits = [bool(set(names[:k]) & set(right)) for names, right in zip(found, gold, strict=True)]
    return share(hits)


@dataclass(frozen=True)
class AnswerScore:
    """One answer, judged.

    exact: it matches a reference exactly, in normal form.
    f1: its token F1 against the closest reference.
    right: it contains a reference, or, where the set says so, reaches an F1.
    grounded: it cites something, and every cited span stands word for word in its passage.
    cites_gold: one of the passages that it looked up is a gold one.
    """

    exact: bool
    f1: float
    right: bool
    grounded: bool
    cites_gold: bool


def score_answer(
    answer: str,
    references: Sequence[str],
    *,
    citations: Sequence[tuple[str, str]],
    looked_up: Collection[str],
    gold: Collection[str],
    right_f1: float | None = None,
) -> AnswerScore:
    """Judge one answer.

    Args:
        answer: The clean text.
        references: Acceptable answers.
        citations: Cited span and passage text of each citation.
        looked_up: Ids of the passages that the answer used.
        gold: Ids of the passages that support the reference.
        right_f1: F1 from which an answer also counts as right; none: only one that contains a reference.
    """
    f1 = token_f1(answer, references)
    return AnswerScore(
        exact=exact_match(answer, references),
        f1=f1,
        right=contains(answer, references) or (right_f1 is not None and f1 >= right_f1),
        grounded=bool(citations) and all(stands_in(span, passage) for span, passage in citations),
        cites_gold=bool(set(looked_up) & set(gold)),
    )


def right_on_wrong_lookup(scores: Iterable[AnswerScore]) -> float | None:
    """Of the answers that looked up no gold passage, the share that is right all the same: said from memory.

    None where every answer looked up a gold passage.
    """
    astray = [score.right for score in scores if not score.cites_gold]
    return share(astray) if astray else None


def share(hits: Sequence[bool]) -> float:
    """Mean of truth values; 0 of none."""
    return fmean(hits) if hits else 0.0


def _f1(found: Sequence[str], wanted: Sequence[str]) -> float:
    common = sum((Counter(found) & Counter(wanted)).values())
    return 2 * common / (len(found) + len(wanted)) if common else 0.0
