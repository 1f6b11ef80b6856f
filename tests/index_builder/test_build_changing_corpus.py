"""Somebody writes into the corpus while a whole build reads it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import index_builder.build
from index_builder.build import build_index
from index_builder.progress import read_with_progress
from index_builder.settings import BuildSettings
from semiparametric.errors import InputError
from semiparametric.formats import Passage, write_jsonl
from semiparametric.store import Store, current_version, versions


def lamps(count: int) -> list[Passage]:
    return [Passage(id=f"p{number}", text=f"Lamp number {number} is lit at dusk.") for number in range(count)]


def test_it_publishes_nothing_and_the_next_build_has_the_new_corpus(
    tmp_path: Path, tiny_pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, out = tmp_path / "corpus.jsonl", tmp_path / "lamps"
    write_jsonl(corpus, lamps(20))
    settings = BuildSettings.resolve({"pair": tiny_pair, "corpus": corpus, "out": out, "index_type": "flat"})
    build_index(settings)
    served = {path: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}

    write_jsonl(corpus, lamps(30))
    with monkeypatch.context() as patched:
        patched.setattr(index_builder.build, "read_with_progress", meddled(corpus))
        with pytest.raises(InputError, match=r"corpus\.jsonl: has changed while the corpus was read"):
            build_index(settings)
    assert current_version(out) == 1
    assert {path: path.read_bytes() for path in served} == served
    with Store.open(out) as store:
        assert len(store) == 20

    build_index(settings)
    assert versions(out) == [1, 2]
    with Store.open(out) as store:
        assert len(store) == 40
        assert store.passage(store.rows_of(["p39"])[0]).text == "Lamp number 39 is lit at dusk."
    assert not list(out.glob("versions/*.partial"))


def meddled(corpus: Path) -> object:
    """The builder's own reading, during which ten more passages are written into the corpus."""

    def read(passages: Iterator[Passage], expected: int | None) -> Iterator[Passage]:
        for number, passage in enumerate(read_with_progress(passages, expected)):
            if number == 10:
                write_jsonl(corpus, lamps(40))
            yield passage

    return read
