"""What an answer is worth against its references: KILT's metrics of one answer, and the paper's.

Texts are compared as KILT compares them: lower case, no punctuation, no articles, single spaces.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@lru_cache(maxsize=256)
def normalise(text: str) -> str:
    """KILT's normal form: lower case, punctuation deleted, articles dropped, single spaces.

    The last ones are remembered, since each metric of an answer asks for the same few texts.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, references: Iterable[str]) -> bool:
    """Whether the answer's normal form is that of a reference."""
    return normalise(answer) in {normalise(reference) for reference in references}


def token_f1(answer: str, references: Iterable[str]) -> float:
    """Harmonic mean of token precision and recall in normal form, against the closest reference; 0 without one."""
    found = normalise(answer).split()
    return max((_f1(found, normalise(reference).split()) for reference in references), default=0.0)


def accuracy(answer: str, references: Iterable[str]) -> bool:
    """KILT's accuracy: whether the answer is a reference, letter by letter."""
    return answer.strip() in {reference.strip() for reference in references}


def contains(answer: str, references: Iterable[str]) -> bool:
    """Whether the answer's normal form contains that of a reference, as the paper and ALCE count a right answer.

    A reference of which nothing is left ("the") is contained in no answer.
    """
    said = normalise(answer)
    return any(wanted in said for wanted in map(normalise, references) if wanted)


def holds_literally(text: str, references: Iterable[str]) -> bool:
    """Whether a reference stands in the text letter by letter, as the paper judges the passages of a lookup."""
    return any(reference in text for reference in references if reference)


def stands_in(span: str, passage: str) -> bool:
    """Whether a span stands in a passage word for word, both in normal form; an empty span stands nowhere."""
    wanted = normalise(span)
    return bool(wanted) and f" {wanted} " in f" {normalise(passage)} "


def _f1(found: Sequence[str], wanted: Sequence[str]) -> float:
    common = sum((Counter(found) & Counter(wanted)).values())
    return 2 * common / (len(found) + len(wanted)) if common else 0.0
