"""The passages of DPR and its kin, `psgs_w100.tsv`: id, text and title, separated by tabs."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from semiparametric.errors import InputError
from semiparametric.formats import Passage, checked
from semiparametric.lines import decoded, raw_lines

_COLUMNS = ("id", "text", "title")


class DprLines:
    """One passage on each line, the columns in the order of the header, or of `_COLUMNS` where there is none.

    A column under a name of its own becomes metadata. A text may be quoted as CSV is, but not contain line breaks.
    """

    unit = "line"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: Sequence[str] = _COLUMNS

    def records(self) -> Iterator[tuple[int, bytes]]:
        """The lines but the header."""
        for number, line in raw_lines(self.path):
            names = line.decode(errors="replace").strip().lower().split("\t") if number == 1 else []
            if {"id", "text"} <= set(names):
                self._columns = names
            else:
                yield number, line

    def passages(self, raw: bytes, where: str) -> Iterator[Passage]:
        """The passage of a line."""
        values = _values(decoded(raw, where).rstrip("\r\n"), where)
        if len(values) != len(self._columns):
            raise InputError(
                f"{len(values)} columns",
                where=where,
                remedy=f"There should be {len(self._columns)}, separated by tabs: {', '.join(self._columns)}",
            )
        yield checked(dict(zip(self._columns, values, strict=True)), Passage, where)


def _values(line: str, where: str) -> list[str]:
    if '"' not in line:
        return line.split("\t")
    if len(line) > csv.field_size_limit():
        raise InputError(f"the line is longer than {csv.field_size_limit()} characters", where=where)
    try:
        return next(csv.reader([line], delimiter="\t", strict=True))
    except csv.Error:  # not quoted as CSV is: the quotation marks belong to the text
        return line.split("\t")
