"""How many values a text of JSON may hold: few bytes of it can become gigabytes of objects."""

from semiparametric.errors import InputError

MOST_VALUES = 2_000_000
"""Brackets, braces and commas of one record at most.

Each list of `[],[],` is three bytes, and more than two hundred while it is parsed: 60 MiB of them, 270 kB as gzip,
ended a process that might have 9 GB. Prose has a comma for some sixty characters, so that a record of 64 MiB of it has
about a million.
"""


def check_values(text: str, where: str, start: int = 0) -> None:
    """Refuse a record that would take far more memory than its text. Costs nothing for one of ordinary length.

    Raises:
        InputError: It has more than `MOST_VALUES` of the characters that begin or part values, within strings or not.
    """
    if len(text) - start <= MOST_VALUES:
        return
    if sum(text.count(mark, start) for mark in "[{,") > MOST_VALUES:
        raise InputError(
            f"the record has more than {MOST_VALUES:,} brackets and commas",
            where=where,
            remedy="Split it into several records",
        )
