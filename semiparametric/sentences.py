"""Text becomes sentences, without losing a character.

Where they end is said by pysbd's English rules. Its `Segmenter` looks for each of 190 abbreviations in each text, and
compiles a pattern for each sentence to find it again: here its `Processor` is asked alone, for the abbreviations that
the text holds with their full stop, and not at all for text that leaves nothing to decide. The sentences are the same.
"""

import re

from pysbd.lang.english import English
from pysbd.processor import Processor

_STRETCH = 4000  # characters: the splitter takes time quadratic in its input (79 kB at once: 4 s)

_ABBREVIATIONS = {f"{each.strip()}.": each for each in English.Abbreviation.ABBREVIATIONS}

_PLAIN = re.compile(r"(?! )(?:[\w ,]|(?<=[a-z])['-](?=[a-z])|(?<=[a-z]{3})[.?](?= [A-Z]| *\Z))+")
"""Words, and marks that end a sentence, since they stand between a longer word and a capital letter or the end."""

_PLAIN_SENTENCE = re.compile(r"[^.?]+[.?]? *")


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
    """A text that does not hold its sentences one after the other is one: the splitter drops white space at a start."""
    lowered = text.lower()
    abbreviations = [known for ending, known in _ABBREVIATIONS.items() if ending in lowered]
    if not abbreviations and _PLAIN.fullmatch(text):
        return _PLAIN_SENTENCE.findall(text)
    found = []
    start = 0
    for sentence in Processor(text, _language(abbreviations), char_span=True).process():
        if not text.startswith(sentence, start):
            return [text]
        end = len(text) - len(text[start + len(sentence) :].lstrip())
        if end > start:
            found.append(text[start:end])
        start = end
    return found if found and start == len(text) else [text]


def _language(abbreviations: list[str]) -> English:
    """English with no other abbreviations than these."""
    language = English()
    language.Abbreviation = English.Abbreviation()
    language.Abbreviation.ABBREVIATIONS = abbreviations
    return language
