"""What a store does not open: damaged, mixed, led astray by links and names, or of another format."""

import hashlib
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from semiparametric.errors import StoreError
from semiparametric.store import Store
from semiparametric.store.layout import version_folder
from tests.semiparametric.stores import build, build_extended, extend, passages, random_vectors

FILES = [
    "SHA256SUMS",
    "deleted.npy",
    "index-delta.faiss",
    "index.faiss",
    "manifest.json",
    "passages-1.arrow",
    "passages.arrow",
]


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_extended(tmp_path_factory.mktemp("extended"))


@pytest.fixture
def index(extended: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    shutil.copytree(extended, tmp_path / "index")
    return tmp_path / "index"


def edit_manifest(index: Path, edit: Callable[[dict[str, object]], object], *, version: int = 2) -> None:
    """Change a manifest as one who also knows to change its checksum."""
    folder = version_folder(index, version)
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    write_sums(folder)


def write_sums(folder: Path) -> None:
    """As `sha256sum * > SHA256SUMS` does."""
    files = [path for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS" and path.is_file()]
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_the_store_of_these_tests_has_a_file_of_every_kind_and_opens(index: Path) -> None:
    assert sorted(path.name for path in version_folder(index, 2).iterdir()) == FILES
    Store.open(index, check=True).close()
    write_sums(version_folder(index, 2))
    Store.open(index, check=True).close()


@pytest.mark.bad_input
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_anywhere_in_any_file_is_found(index: Path, name: str) -> None:
    path = version_folder(index, 2) / name
    whole = path.read_bytes()
    places = random.Random(name).sample(range(len(whole) * 8), 30)
    for place in [0, len(whole) * 8 - 1, len(whole) * 8 - 8, *places]:
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        with pytest.raises(StoreError):
            Store.open(index, check=True)
    path.write_bytes(whole)
    Store.open(index, check=True).close()


@pytest.mark.bad_input
@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_empty_file_is_refused_by_name(index: Path, name: str) -> None:
    path = version_folder(index, 2) / name
    path.write_bytes(b"")
    with pytest.raises(StoreError, match=name):
        Store.open(index, check=True)
    path.unlink()
    with pytest.raises(StoreError, match=name):
        Store.open(index, check=True)
    if name != "SHA256SUMS":
        with pytest.raises(StoreError, match=name):
            Store.open(index, check=False)


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("name", [name for name in FILES if name != "SHA256SUMS"])
def test_a_symbolic_link_is_refused_even_to_the_same_bytes(index: Path, name: str, check: bool) -> None:
    path = version_folder(index, 2) / name
    path.rename(index / "elsewhere")
    path.symlink_to(index / "elsewhere")
    with pytest.raises(StoreError, match=rf"{name}: is a symbolic link, which could lead anywhere"):
        Store.open(index, check=check)


def test_a_linked_version_current_or_list_of_checksums_is_refused(index: Path) -> None:
    for path in (version_folder(index, 2) / "SHA256SUMS", version_folder(index, 2), index / "CURRENT"):
        path.rename(index / "elsewhere")
        path.symlink_to(index / "elsewhere")
        with pytest.raises(StoreError, match="is a symbolic link"):
            Store.open(index)
        path.unlink()
        (index / "elsewhere").rename(path)
    Store.open(index).close()


@pytest.mark.parametrize("name", ["../1/index.faiss", "/etc/passwd", "..", ".hidden", "a/b", "", "a\nb", "a\\b"])
def test_a_manifest_that_leads_out_of_its_folder_is_refused(index: Path, name: str) -> None:
    edit_manifest(index, lambda manifest: manifest["parts"][0].update(file=name))  # type: ignore[index]
    for check in (True, False):
        with pytest.raises(StoreError, match=r"field parts\.0\.file: .*is not the plain name of a file"):
            Store.open(index, check=check)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{'0' * 64}  ../../CURRENT", r"'\.\./\.\./CURRENT' is not the plain name of a file"),
        (f"{'0' * 64}  /etc/passwd", "'/etc/passwd' is not the plain name"),
        (f"{'0' * 64}  more", "SHA256SUMS has 'more', which is no file of the manifest"),
        (f"{'0' * 63}  more", "line 7: is not a SHA-256 digest, two spaces and a name"),
        (f"{'0' * 64}  index.faiss", r"names index\.faiss twice"),
    ],
)
def test_a_line_too_many_in_the_checksums_is_refused(index: Path, line: str, message: str) -> None:
    path = version_folder(index, 2) / "SHA256SUMS"
    path.write_text(f"{path.read_text()}{line}\n")
    with pytest.raises(StoreError, match=message):
        Store.open(index)


@pytest.mark.parametrize("name", ["more", ".hidden"])
def test_a_file_or_folder_too_many_is_refused(index: Path, name: str) -> None:
    stranger = version_folder(index, 2) / name
    stranger.write_text("x")
    with pytest.raises(StoreError, match=rf"the folder has '{name}', which is no file of the manifest. Remove it if"):
        Store.open(index)
    stranger.unlink()
    stranger.mkdir()
    with pytest.raises(StoreError, match=rf"the folder has '{name}'"):
        Store.open(index)


@pytest.mark.parametrize(
    "rows",
    [
        np.array([3, 4]),
        np.array([3.0]),
        np.array([51]),
        np.array([-1]),
        np.array([[3]]),
        np.array([3], np.int32),
        np.array(["3"], object),
    ],
)
def test_tombstones_that_cannot_be_are_refused_even_unchecked(index: Path, rows: np.ndarray) -> None:
    np.save(version_folder(index, 2) / "deleted.npy", rows, allow_pickle=True)
    with pytest.raises(StoreError, match=r"deleted\.npy: (does not hold 1 ascending rows below 51|cannot be read)"):
        Store.open(index, check=False)


def test_parts_and_passages_that_do_not_add_up_are_refused(index: Path) -> None:
    edit_manifest(index, lambda manifest: manifest["parts"][0].update(count=51))  # type: ignore[index]
    with pytest.raises(StoreError, match=r"the numbers of rows differ: .*'passage_files': 51, 'parts': 52"):
        Store.open(index)


def test_a_version_of_format_1_opens_and_is_extended(tmp_path: Path) -> None:
    build(tmp_path, passages(20), random_vectors(20))

    def make_old(manifest: dict[str, object]) -> None:
        manifest["format_version"] = 1
        new = ("passage_files", "parts", "deleted", "base", "store")
        for field in new:
            del manifest[field]
        index, build_record = manifest["index"], manifest["build"]
        old = ("dimension", "index_type", "index_parameters", "recall_at_10", "recall_queries")
        manifest["index"] = {field: index[field] for field in old}  # type: ignore[index]
        old = ("sources", "settings", "libraries", "started", "finished")
        manifest["build"] = {field: build_record[field] for field in old}  # type: ignore[index]

    edit_manifest(tmp_path, make_old, version=1)
    with Store.open(tmp_path) as store:
        assert store.search(random_vectors(20)[4:5], 1)[0][0].row == 4
    assert extend(tmp_path, deleted=["p4"]).format_version == 2
    with Store.open(tmp_path) as store:
        assert store.row_of("p4") is None
