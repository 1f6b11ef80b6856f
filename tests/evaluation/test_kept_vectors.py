"""Vectors of a corpus outlive a run, and only ever serve the texts and the model that they were made of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.kept_vectors import kept_vectors


class Lengths:
    """Encodes a text as its length, and counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls += 1
        return np.array([[len(text)] for text in texts], np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"one")
    return folder


def test_texts_are_encoded_once(tmp_path: Path, model: Path) -> None:
    encode = Lengths()
    for _ in range(2):
        vectors = kept_vectors(tmp_path / "out", model, ["a", "abc"], encode)
        assert vectors.tolist() == [[1.0], [3.0]]
    assert encode.calls == 1


def test_other_texts_or_another_model_are_encoded_anew(tmp_path: Path, model: Path) -> None:
    encode = Lengths()
    kept_vectors(tmp_path / "out", model, ["a", "abc"], encode)
    assert kept_vectors(tmp_path / "out", model, ["abc", "a"], encode).tolist() == [[3.0], [1.0]]
    (model / "weights").write_bytes(b"two")
    kept_vectors(tmp_path / "out", model, ["a", "abc"], encode)
    assert encode.calls == 3


def test_a_file_that_was_cut_short_is_made_again(tmp_path: Path, model: Path) -> None:
    encode = Lengths()
    kept_vectors(tmp_path / "out", model, ["a"], encode)
    (path,) = (tmp_path / "out").iterdir()
    path.write_bytes(path.read_bytes()[:-2])
    assert kept_vectors(tmp_path / "out", model, ["a"], encode).tolist() == [[1.0]]
    assert encode.calls == 2
