"""The vectors of a corpus, kept under the evaluation's folder: encoding it can take an hour, and is done once."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from semiparametric.replacing import replaced_file

_NAME = "vectors"

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


def kept_vectors(folder: Path, model: Path, texts: Sequence[str], encode: Encode) -> NDArray[np.float32]:
    """The vectors of texts by a model, `float32[n, d]`: those of an earlier run, or encoded now and kept.

    The file's name is a digest of the model's files and of all texts, so other ones never meet the wrong vectors. A
    file that cannot be read is made again.
    """
    path = folder / f"{_digest(model, texts)}.safetensors"
    try:
        return np.asarray(load_file(path)[_NAME], np.float32)
    except (OSError, SafetensorError, KeyError):
        vectors = encode(texts)
    folder.mkdir(parents=True, exist_ok=True)
    with replaced_file(path) as partial:
        save_file({_NAME: vectors}, partial)
    return vectors


def _digest(model: Path, texts: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in model.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        digest.update(f"{path.relative_to(model)}\0".encode() + content.digest())
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return digest.hexdigest()[:32]
