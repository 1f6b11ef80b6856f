"""Lookups by words in common: BM25 with stemming."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import bm25s
import Stemmer

from semiparametric.errors import InputError
from semiparametric.formats import Example, Passage
from training.mining.lookups import lookups_of

logging.getLogger("bm25s").setLevel(logging.WARNING)  # on import it sets itself to DEBUG

_STOP_WORDS = {
    "english": "en",
    "german": "de",
    "dutch": "nl",
    "french": "fr",
    "spanish": "es",
    "portuguese": "pt",
    "italian": "it",
    "russian": "ru",
    "swedish": "sv",
    "norwegian": "no",
}
"""Languages of which bm25s has stop words; of others all words count."""


class Bm25Searcher:
    """Searches title and text of passages for the words of the text so far.

    Raises:
        InputError: There is no stemmer for the language, or the passages hold no words.
    """

    def __init__(self, passages: Mapping[str, Passage], language: str = "english") -> None:
        if language not in Stemmer.algorithms():
            known = ", ".join(Stemmer.algorithms())
            raise InputError(f"there is no stemmer for {language!r}", where="--language", remedy=f"Use one of {known}")
        self._stemmer = Stemmer.Stemmer(language)
        self._stop_words: Any = _STOP_WORDS.get(language, [])
        self._ids = list(passages)
        tokens = self._tokens([f"{passage.title} {passage.text}" for passage in passages.values()])
        if not any(tokens.ids):
            raise InputError("the passages hold no words to search for", where="--corpus")
        self._index = bm25s.BM25()
        self._index.index(tokens, show_progress=False)

    def search(self, examples: Sequence[Example], top_k: int) -> list[list[str]]:
        """As `Searcher.search`; passages without a word in common are not given."""
        texts = [lookup.text for lookup in lookups_of(examples)]
        if not texts:
            return []
        rows, scores = self._index.retrieve(self._tokens(texts), k=min(top_k, len(self._ids)), show_progress=False)
        return [
            [self._ids[row] for row, score in zip(found, given, strict=True) if score > 0]
            for found, given in zip(rows.tolist(), scores.tolist(), strict=True)
        ]

    def _tokens(self, texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords=self._stop_words, stemmer=self._stemmer, show_progress=False)
