"""Token ids to text, piece by piece, so that the pieces join to exactly the text of all ids."""

from collections.abc import Callable, Sequence

REPLACEMENT = "\ufffd"  # what a tokenizer writes for bytes that are not, or not yet, a character
MAX_HELD = 8  # ids; a character has at most 4 bytes, so text that is still broken after more is broken for good


class Detokenizer:
    """Turns a growing list of ids into text.

    Decoding needs context (a leading space is dropped at the start of a text, a character may spread over several ids),
    so each step decodes a short window: the ids of the last piece and those after it, and gives what the latter add.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._shown: list[int] = []  # ids of the last piece given out
        self._held: list[int] = []  # ids after it

    def push(self, token: int) -> str:
        """The text that is certain now; empty while a character is incomplete."""
        self._held.append(token)
        return self._release(force=len(self._held) >= MAX_HELD)

    def flush(self) -> str:
        """The text still held, with replacement characters for what never became a character."""
        return self._release(force=True) if self._held else ""

    def _release(self, *, force: bool) -> str:
        before = self._decode(self._shown)
        text = self._decode(self._shown + self._held)[len(before) :]
        broken = text.endswith(REPLACEMENT)
        if not text or (broken and not force):
            return ""
        # After a broken piece the window starts anew: bytes to come must not change what was given out.
        self._shown = [] if broken else self._held
        self._held = []
        return text
