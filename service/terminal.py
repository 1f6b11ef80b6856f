"""An answer on a terminal: `[1]` after each cited span, and the cited passages below."""

import re
import shutil
import textwrap
from collections.abc import Callable

import typer

from service.schemas import GenerateResponse, PassageResult

_WIDTH = 100  # columns at most, however wide the terminal is
_LEAST_WIDTH = 20
_INDENT = "    "
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # control, and writing backwards


class AnswerWriter:
    """Writes an answer as it comes.

    White space is held back until more text follows, so that a mark stands right behind the words it belongs to.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._held = ""
        self._numbers: dict[str, int] = {}

    def token(self, text: str) -> None:
        """The next characters of the answer."""
        text = self._held + text
        kept = text.rstrip()
        self._held = text[len(kept) :]
        self._write(printable(kept))

    def citation(self, passage_id: str) -> None:
        """The cited span ends where the text stands now. Passages are numbered as they are first cited."""
        number = self._numbers.setdefault(passage_id, len(self._numbers) + 1)
        self._write(typer.style(f" [{number}]", fg="cyan", bold=True))


def write_answer(response: GenerateResponse, write: Callable[[str], None]) -> None:
    """Write a whole answer as `AnswerWriter` writes it piece by piece."""
    writer, end = AnswerWriter(write), 0
    for citation in response.citations:
        writer.token(response.answer[end : citation.end])
        writer.citation(citation.passage_id)
        end = citation.end
    writer.token(response.answer[end:])


def cited_passages(response: GenerateResponse) -> str:
    """The cited passages, numbered as in the answer; empty where none is cited."""
    passages = {passage.id: passage for passage in response.passages}
    numbers = dict.fromkeys(citation.passage_id for citation in response.citations)
    return "\n".join(_block(number, passages[passage_id]) for number, passage_id in enumerate(numbers, 1))


def printable(text: str) -> str:
    """The text without what could do anything to a terminal; line ends and tabs stay."""
    return _UNSAFE.sub("", text)


def _block(number: int, passage: PassageResult) -> str:
    place = passage.id if passage.source is None else f"{passage.id}, {passage.source}"
    mark = typer.style(f"[{number}]", fg="cyan", bold=True)
    head = f"{mark} {printable(passage.title)}  (score {passage.score:.3f})"
    return "\n".join([head, _INDENT + printable(place), _wrapped(printable(passage.text)), ""])


def _wrapped(text: str) -> str:
    width = max(_LEAST_WIDTH, min(shutil.get_terminal_size().columns, _WIDTH))
    lines = (textwrap.wrap(line, width - len(_INDENT), drop_whitespace=False) or [""] for line in text.splitlines())
    return "\n".join((_INDENT + piece).rstrip() for pieces in lines for piece in pieces)
