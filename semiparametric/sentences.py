"""Text becomes sentences, without losing a character."""

from functools import cache

import pysbd

_STRETCH = 4000  # characters: the sentence splitter takes time quadratic in its input (79 kB at once: 4 s)


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph, each with the white space after it; joined they are the text again."""
    found, start = [], 0
    while len(text) - start > _STRETCH:
        window = text[start : start + _STRETCH]
        whole = _split(window)[:-1] or [window[: window.rfind(" ") + 1] or window]  # the last one may go on
        found += whole
        start += sum(map(len, whole))
    return found + _split(text[start:])


def _split(text: str) -> list[str]:
    found = [span.sent for span in _segmenter().segment(text)]
    return (
        found if found and "".join(found) == text else [text]
    )  # it drops white space at the start: then the text is one sentence


@cache
def _segmenter() -> pysbd.Segmenter:
    return pysbd.Segmenter(language="en", clean=False, char_span=True)
