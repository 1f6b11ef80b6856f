"""BM25 on the same corpus and questions: the lookups that a user would have without a pair.

Title and text, English stop words, Snowball stemming, bm25s with its default parameters.
"""

import logging
from collections.abc import Sequence

from semiparametric.errors import CosupError
from semiparametric.formats import Passage


def bm25_ranks(passages: Sequence[Passage], questions: Sequence[str], top_k: int) -> list[list[str]]:
    """Ids of the first `top_k` passages (fewer where there are fewer) for each question, best first.

    Raises:
        CosupError: The libraries are not installed.
    """
    try:
        import bm25s
        import Stemmer
    except ImportError as error:
        raise CosupError(
            f"BM25 needs {error.name}, which is not installed", remedy="Install it: pip install 'cosup[train]'"
        ) from error
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library asks for all of its debugging lines
    stemmer = Stemmer.Stemmer("english")
    texts = [f"{passage.title} {passage.text}" for passage in passages]
    retriever = bm25s.BM25()
    retriever.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    queries = bm25s.tokenize(list(questions), stopwords="en", stemmer=stemmer, show_progress=False)
    found, _ = retriever.retrieve(queries, k=min(top_k, len(passages)), show_progress=False)
    return [[passages[row].id for row in rows] for rows in found]
