"""From one docstring to its passages: title, text cut at paragraph ends, source and metadata."""

import re
from collections.abc import Iterator

from semiparametric.formats import Passage

LONGEST_TITLE = 100  # characters, name and signature together; a longer name alone is never cut


def title(name: str, signature: str) -> str:
    """Return the qualified name with its signature, cut at a parameter's end to about LONGEST_TITLE characters."""
    whole = name + signature
    if len(whole) <= LONGEST_TITLE or not signature:
        return whole
    room = max(LONGEST_TITLE - len(name) - len("...)"), 1)
    kept = signature[:room]
    end = kept.rfind(", ")
    return f"{name}{kept[: end + 2] if end > 0 else '('}...)"


def split_docstring(text: str, max_words: int) -> list[str]:
    """Split a docstring at paragraph ends into parts of at most `max_words` words.

    A paragraph that is longer by itself is split at line ends, so only a single line can be longer than the limit.
    """
    pieces: list[tuple[str, str]] = []  # (what joins it to the piece before, piece)
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        if len(paragraph.split()) <= max_words:
            pieces.append(("\n\n", paragraph))
        else:
            lines = paragraph.split("\n")
            pieces += [("\n" if number else "\n\n", line) for number, line in enumerate(lines)]
    parts: list[str] = []
    words = 0
    for joint, piece in pieces:
        size = len(piece.split())
        if parts and words + size <= max_words:
            parts[-1] += joint + piece
            words += size
        else:
            parts.append(piece)
            words = size
    return [part.rstrip() for part in parts if part.strip()]


def passages_of(
    name: str, module: str, kind: str, signature: str, docstring: str, source: str, max_words: int
) -> Iterator[Passage]:
    """Yield the passages of one documented name; `module` is its module's public name, a prefix of `name`."""
    # Nobody writes builtins.len: the title shows the name as it is used, the id stays fully qualified.
    shown = name.removeprefix("builtins.")
    heading = title(shown, signature)
    clean = docstring.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be stored as UTF-8
    for number, part in enumerate(split_docstring(clean, max_words), start=1):
        identifier = f"python:{name}" if number == 1 else f"python:{name}#{number}"
        metadata: dict[str, str | int | float | bool] = {"module": module, "kind": kind}
        yield Passage(id=identifier, title=heading, text=part, source=source, metadata=metadata)
