"""Answers of others, which cite by marks such as `[2]`: ALCE's rules for them."""

import re
from dataclasses import dataclass

from semiparametric.sentences import sentences

_MARK = re.compile(r"\[(\d+)")


@dataclass(frozen=True)
class Marked:
    """`answer[start:end]`, a sentence, carries a mark.

    place: the place of the passage that the mark names, from 0; None where there is no such passage.
    """

    start: int
    end: int
    place: int | None


def first_line(output: str) -> str:
    """What ALCE scores of an output: the text before its first line end."""
    return output.strip().split("\n")[0].replace("<|im_end|>", "")


def without_marks(output: str) -> str:
    """The output as ALCE reads it where citations do not matter: marks go, and with them every `]` and ` |`."""
    text = re.sub(r" \[\d+", "", output)
    return re.sub(r"\[\d+", "", text).replace(" |", "").replace("]", "")


def marked_answer(output: str, num_passages: int) -> tuple[str, list[Marked]]:
    """The output without its marks, and what they say of its sentences, in order.

    A mark counts passages from 1. Of `[1, 2]` only the first number counts, and `[0]` names the last passage, since
    ALCE counts down by one.
    """
    answer, marked = "", []
    for sentence in sentences(output):
        text = without_marks(sentence)
        if text.strip():
            start = len(answer) + len(text) - len(text.lstrip())
            end = len(answer) + len(text.rstrip())
            places = [int(mark) - 1 for mark in _MARK.findall(sentence)]
            marked += [Marked(start, end, _place(place, num_passages)) for place in places]
        answer += text
    return answer, marked


def _place(place: int, num_passages: int) -> int | None:
    return place % num_passages if place < num_passages and num_passages else None
