"""Stores whose files say anything at all: they open and answer, or are refused by an error of ours."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faiss
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from semiparametric.errors import CosupError, StoreError
from semiparametric.store import Store
from semiparametric.store.layout import version_folder
from tests.semiparametric.stores import build_extended, random_vectors
from tests.semiparametric.test_store_damage import write_sums

pytestmark = pytest.mark.bad_input

EVERY = settings(
    max_examples=250,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
NUMBERS = [None, True, -1, 0, 1, 2, 49, 50, 51, 52, 2**31, 2**63, 10**400, -0.0, 1.5, 1e308]
TEXTS = ["", "x", "..", "../1/index.faiss", "passages.arrow", "index.faiss", "a\0b", "\u202e", "9" * 5000, "2026-99-99"]
SHAPES: list[Any] = [[], {}, [[]], [None], {"": None}, {"file": "index.faiss", "count": 51}]
HOSTILE = st.sampled_from([*NUMBERS, *TEXTS, *SHAPES])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_extended(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def index(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to break; each example writes the file anew that it breaks."""
    shutil.copytree(whole, tmp_path / "index")
    return tmp_path / "index"


def opens_or_is_refused(index: Path, *, check: bool) -> None:
    """Also what opens must answer, or refuse by an error of ours."""
    try:
        with Store.open(index, check=check) as store:
            hits = store.search(random_vectors(2, store.dimension), 3)
            assert all(store.passage(hit.row).id for found in hits for hit in found)
            store.rows_matching(dict.fromkeys(store.manifest.corpus.metadata_fields, 1))
            store.vectors(store.live_rows()[:2])
    except CosupError as error:
        assert str(error)  # noqa: PT017 - both ends are right


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths to all values of a JSON document."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in inside:
        yield from places(inner, (*path, key))


def replaced(document: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


@EVERY
@given(data=st.data(), value=HOSTILE, check=st.booleans())
def test_a_manifest_with_any_value_anywhere_is_refused_or_served(
    index: Path, whole: Path, data: st.DataObject, value: Any, check: bool
) -> None:
    manifest = json.loads((version_folder(whole, 2) / "manifest.json").read_text())
    path = data.draw(st.sampled_from(list(places(manifest))))
    folder = version_folder(index, 2)
    (folder / "manifest.json").write_text(json.dumps(replaced(manifest, path, value)))
    write_sums(folder)
    opens_or_is_refused(index, check=check)


def damaged(data: st.DataObject, whole: bytes) -> bytes:
    start = data.draw(st.integers(0, len(whole)))
    end = start + data.draw(st.integers(0, 12))
    put = data.draw(st.one_of(st.binary(max_size=12), st.sampled_from([b"9" * 5000, b"\0" * 9, b"PK\3\4", b"\n" * 9])))
    return whole[:start] + put + whole[end:]


@pytest.mark.parametrize("name", ["manifest.json", "deleted.npy"])
@EVERY
@given(data=st.data(), check=st.booleans())
def test_a_file_with_any_bytes_and_their_checksum_is_refused_or_served(
    index: Path, whole: Path, name: str, data: st.DataObject, check: bool
) -> None:
    folder = version_folder(index, 2)
    (folder / name).write_bytes(damaged(data, (version_folder(whole, 2) / name).read_bytes()))
    write_sums(folder)
    opens_or_is_refused(index, check=check)


@pytest.mark.parametrize("name", ["CURRENT", "versions/2/SHA256SUMS"])
@EVERY
@given(data=st.data())
def test_pointer_and_checksums_with_any_bytes_are_refused_or_followed(
    index: Path, whole: Path, name: str, data: st.DataObject
) -> None:
    (index / name).write_bytes(damaged(data, (whole / name).read_bytes()))
    opens_or_is_refused(index, check=True)


@pytest.mark.parametrize("name", ["index.faiss", "index-delta.faiss", "passages.arrow", "passages-1.arrow"])
@settings(EVERY, max_examples=40)
@given(data=st.data())
def test_vectors_and_passages_that_are_damaged_are_refused_before_any_library_reads_them(
    index: Path, whole: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: st.DataObject
) -> None:
    whole_bytes = (version_folder(whole, 2) / name).read_bytes()
    changed = damaged(data, whole_bytes)
    if changed == whole_bytes:
        return
    (version_folder(index, 2) / name).write_bytes(changed)
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("faiss reads a damaged file"))
    with pytest.raises(StoreError, match=rf"{name}: damaged: its checksum is"):
        Store.open(index)
