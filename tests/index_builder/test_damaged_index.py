"""An index with a damaged file: no command looks anything up in it, or goes on from it."""

import shutil
from pathlib import Path

import faiss
import pytest
from typer.testing import CliRunner

from cosup.cli import app
from index_builder.settings import DeleteSettings, UpsertSettings
from index_builder.upsert import delete, upsert
from semiparametric.formats import Passage, write_jsonl
from semiparametric.store import current_version, versions
from semiparametric.store.layout import version_folder
from tests.index_builder.test_rebuild import built

DATA = ["deleted.npy", "index-delta.faiss", "index.faiss", "passages-1.arrow", "passages.arrow"]
FILES = [*DATA, "SHA256SUMS", "manifest.json"]
SERVED = 3

COMMANDS = {
    "verify": ["verify", "INDEX"],
    "tune": ["tune", "INDEX"],
    "tune --dry-run": ["tune", "INDEX", "--dry-run"],
    "upsert": ["upsert", "INDEX", "--corpus", "CORPUS"],
    "upsert --dry-run": ["upsert", "INDEX", "--corpus", "CORPUS", "--dry-run"],
    "delete": ["delete", "INDEX", "--id", "p4"],
    "delete --dry-run": ["delete", "INDEX", "--id", "p4", "--dry-run"],
    "rebuild": ["rebuild", "INDEX"],
    "rebuild --dry-run": ["rebuild", "INDEX", "--dry-run"],
    "rollback": ["rollback", "INDEX", "--version", str(SERVED)],
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_pair: Path) -> Path:
    """A folder with an index whose served version has a file of every kind, and the corpora to go on with."""
    folder = tmp_path_factory.mktemp("whole")
    index = built(folder, tiny_pair)
    write_jsonl(folder / "more.jsonl", [Passage(id="new", text="The eel pass opens.")])
    upsert(UpsertSettings(index=index, corpus=[folder / "more.jsonl"]))
    delete(DeleteSettings(index=index, id_=["p3"]))
    assert sorted(path.name for path in version_folder(index, SERVED).iterdir()) == sorted(FILES)
    return folder


@pytest.fixture
def index(whole: Path, tmp_path: Path) -> Path:
    """A copy of it to break."""
    shutil.copytree(whole / "index", tmp_path / "index")
    write_jsonl(tmp_path / "batch.jsonl", [Passage(id="newer", text="The mill stands still.")])
    return tmp_path / "index"


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def called(command: str, index: Path) -> tuple[int, str]:
    """The exit code of a command, and all that it wrote."""
    places = {"INDEX": str(index), "CORPUS": str(index.parent / "batch.jsonl")}
    done = CliRunner().invoke(app, ["index", *(places.get(word, word) for word in COMMANDS[command])])
    return done.exit_code, done.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_the_index_while_it_is_whole(command: str, index: Path) -> None:
    code, said = called(command, index)
    assert code == 0, said


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_flipped_byte_is_refused_by_every_command_before_any_library_reads_the_file(
    command: str, name: str, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(version_folder(index, SERVED) / name)
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("faiss reads a damaged index"))
    code, said = called(command, index)
    assert code == 2
    assert said.count("\n") == 1
    assert name in said
    assert "damaged: its checksum is" in said or (name == "SHA256SUMS" and "SHA256SUMS" in said)
    assert (versions(index), current_version(index)) == ([1, 2, SERVED], SERVED)


@pytest.mark.parametrize("name", ["SHA256SUMS", "manifest.json"])
def test_a_flipped_byte_in_what_info_reads_is_refused(name: str, index: Path) -> None:
    flip(version_folder(index, SERVED) / name)
    done = CliRunner().invoke(app, ["index", "info", str(index)])
    assert done.exit_code == 2
    assert name in done.output


def test_info_and_list_read_no_file_but_manifests(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("faiss reads an index"))
    for name in DATA:
        (version_folder(index, SERVED) / name).write_bytes(b"x")
    for command in ("info", "list"):
        done = CliRunner().invoke(app, ["index", command, str(index)])
        assert done.exit_code == 0, done.output


def test_list_names_the_version_whose_manifest_was_changed_and_believes_none_of_it(index: Path) -> None:
    path = version_folder(index, 2) / "manifest.json"
    path.write_text(path.read_text().replace('"count": 31', '"count": 99'))
    done = CliRunner().invoke(app, ["index", "list", str(index)])
    assert done.exit_code == 0
    assert "manifest.json: damaged: its checksum is" in done.output
    assert "99" not in done.output.split("damaged")[0]
