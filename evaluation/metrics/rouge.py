"""ROUGE-L as KILT computes it: that of the Python package `rouge` 1.0, which is not Google's `rouge_score`.

A text is cut at every full stop, words at every space, nothing is normalised. For each sentence of the reference, the
longest common subsequences with all sentences of the answer are joined. All counts are of distinct words.
"""

from collections.abc import Iterable, Sequence

_EPSILON = 1e-8  # the package's own, against a division by zero


def rouge_l(answer: str, references: Iterable[str]) -> float:
    """F-measure against the closest reference; 0 for an answer or a reference without words."""
    return max((_f_measure(_sentences(answer), _sentences(reference)) for reference in references), default=0.0)


def _sentences(text: str) -> list[list[str]]:
    return [" ".join(sentence.split()).split(" ") for sentence in text.split(".") if sentence]


def _f_measure(found: Sequence[Sequence[str]], wanted: Sequence[Sequence[str]]) -> float:
    if not any(word for sentence in found for word in sentence) or not wanted:
        return 0.0
    common: set[str] = set()
    for reference in wanted:
        for sentence in found:
            common |= _common_words(reference, sentence)
    num_found = len({word for sentence in found for word in sentence})
    num_wanted = len({word for sentence in wanted for word in sentence})
    precision, recall = len(common) / num_found, len(common) / num_wanted
    return 2.0 * precision * recall / (precision + recall + _EPSILON)


def _common_words(first: Sequence[str], second: Sequence[str]) -> set[str]:
    """Words of one longest common subsequence; of several, the one that the package takes."""
    if set(first).isdisjoint(second):
        return set()
    lengths = _lengths(first, second)
    words = set()
    row, column = len(first), len(second)
    while row and column:
        if first[row - 1] == second[column - 1]:
            words.add(first[row - 1])
            row, column = row - 1, column - 1
        elif lengths[row - 1][column] > lengths[row][column - 1]:
            row -= 1
        else:
            column -= 1
    return words


def _lengths(first: Sequence[str], second: Sequence[str]) -> list[list[int]]:
    """Length of the longest common subsequence of every beginning of one with every beginning of the other."""
    above = [0] * (len(second) + 1)
    table = [above]
    for word in first:
        row, left = [0], 0
        for column, other in enumerate(second, start=1):
            if word == other:
                left = above[column - 1] + 1
            elif above[column] > left:
                left = above[column]
            row.append(left)
        table.append(row)
        above = row
    return table
