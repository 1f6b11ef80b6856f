"""BM25 on the same corpus and questions: the lookups that a user would have without a pair.

Title and text, English stop words, Snowball stemming, bm25s with its default parameters.
"""

import logging
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from semiparametric.errors import CosupError
from semiparametric.formats import Passage

Ranked = list[tuple[str, float]]
"""Passage ids with their scores, best first."""


class Bm25:
    """An index of passages by their words.

    Raises:
        CosupError: The libraries are not installed.
    """

    def __init__(self, passages: Sequence[Passage]) -> None:
        try:
            import bm25s
            import Stemmer
        except ImportError as error:
            raise CosupError(
                f"BM25 needs {error.name}, which is not installed", remedy="Install it: pip install 'cosup[eval]'"
            ) from error
        logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library asks for all of its debugging lines
        stemmer = Stemmer.Stemmer("english")
        self._ids = [passage.id for passage in passages]
        self._rows = {name: row for row, name in enumerate(self._ids)}
        self._retriever = bm25s.BM25()

        def tokenize(texts: Sequence[str], **how: Any) -> Any:
            return bm25s.tokenize(list(texts), stopwords="en", stemmer=stemmer, show_progress=False, **how)

        self._tokenize = tokenize
        texts = [f"{passage.title} {passage.text}" for passage in passages]
        self._retriever.index(tokenize(texts), show_progress=False)

    def rank(self, questions: Sequence[str], top_k: int) -> list[Ranked]:
        """The first `top_k` passages (fewer where there are fewer) for each question."""
        found, scores = self._retriever.retrieve(
            self._tokenize(questions), k=min(top_k, len(self._ids)), show_progress=False
        )
        return [
            [(self._ids[row], float(points)) for row, points in zip(rows, all_points, strict=True)]
            for rows, all_points in zip(found, scores, strict=True)
        ]

    def rank_among(self, question: str, candidates: Collection[str], top_k: int) -> Ranked:
        """The first `top_k` of the candidates that there are; the order of equals is that of the corpus."""
        rows = np.array(sorted(self._rows[name] for name in candidates if name in self._rows), np.int64)
        words = self._tokenize([question], return_ids=False)[0]
        scores = self._retriever.get_scores(words)[rows]
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [(self._ids[rows[place]], float(scores[place])) for place in best]
