"""Answers of others, which cite by marks such as `[2]`: ALCE's rules for them."""

import re
from collections.abc import Sequence

from evaluation.metrics.citations import Statement
from semiparametric.sentences import sentences

_MARK = re.compile(r"\[(\d+)")


def first_line(output: str) -> str:
    """What ALCE scores of an output: the text before its first line end."""
    return output.strip().split("\n")[0].replace("<|im_end|>", "")


def without_marks(output: str) -> str:
    """The output as ALCE reads it where citations do not matter: marks go, and with them every `]` and ` |`."""
    text = re.sub(r" \[\d+", "", output)
    return re.sub(r"\[\d+", "", text).replace(" |", "").replace("]", "")


def marked_statements(output: str, passages: Sequence[str]) -> list[Statement]:
    """The sentences of an output with the passages that its marks name, counted from 1.

    Of `[1, 2]` only the first number counts; `[0]` names the last passage, since ALCE counts down by one.
    """
    statements = []
    for sentence in sentences(output):
        if not sentence.strip():
            continue
        places = [int(mark) - 1 for mark in _MARK.findall(sentence)]
        cited = tuple(passages[place] if place < len(passages) and passages else None for place in places)
        statements.append(Statement(without_marks(sentence).strip(), cited))
    return statements
