"""Text becomes sentences, without losing a character.

Where they end is said by pysbd's English rules. Its `Segmenter` looks for each of 190 abbreviations in each text, and
compiles a pattern for each sentence to find it again: here its `Processor` is asked alone, for the abbreviations that
the text holds with their full stop. The sentences are the same, in a third of the time.
"""

import re

from pysbd.lang.english import English
from pysbd.processor import Processor

_STRETCH = 4000  # characters: the splitter takes time quadratic in its input (79 kB at once: 4 s)

_ONE_SENTENCE = re.compile(r"[^\W\d][\w ,'-]*[.!?]? *")  # words alone, and at most one mark at the end

_ABBREVIATIONS = {f"{each.strip()}.": each for each in English.Abbreviation.ABBREVIATIONS}


def sentences(text: str) -> list[str]:
    """The sentences of a paragraph, each with the white space after it; joined they are the text again."""
    if _ONE_SENTENCE.fullmatch(text):
        return [text]
    found, start = [], 0
    while len(text) - start > _STRETCH:
        window = text[start : start + _STRETCH]
        whole = _split(window)[:-1] or [window[: window.rfind(" ") + 1] or window]  # the last one may go on
        found += whole
        start += sum(map(len, whole))
    return found + _split(text[start:])


def _split(text: str) -> list[str]:
    """A text that does not hold its sentences one after the other is one: the splitter drops white space at a start."""
    found = []
    start = 0
    for sentence in Processor(text, _language_of(text), char_span=True).process():
        if not text.startswith(sentence, start):
            return [text]
        end = len(text) - len(text[start + len(sentence) :].lstrip())
        if end > start:
            found.append(text[start:end])
        start = end
    return found if found and start == len(text) else [text]


def _language_of(text: str) -> English:
    """English with the abbreviations that could matter in a text."""
    lowered = text.lower()
    language = English()
    language.Abbreviation = English.Abbreviation()
    language.Abbreviation.ABBREVIATIONS = [known for ending, known in _ABBREVIATIONS.items() if ending in lowered]
    return language
