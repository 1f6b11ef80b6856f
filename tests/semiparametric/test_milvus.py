"""Vectors in Milvus, on milvus-lite's real engine: the same answers as FAISS flat, and nothing left behind."""

import fcntl
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import faiss
import numpy as np
import pytest
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.store import milvus
from semiparametric.store.milvus import MilvusVectors
from semiparametric.store.milvus_client import TOKEN, connected, located
from semiparametric.store.milvus_collections import LEDGER, remove_unnamed, write_collection

pytest.importorskip("pymilvus", reason="needs `pip install 'cosup[milvus-lite]'`")
pytest.importorskip("milvus_lite", reason="needs `pip install 'cosup[milvus-lite]'`")

Vectors = NDArray[np.float32]
Result = TypeVar("Result")

COUNT, DIMENSION = 600, 24
HNSW = {"hnsw_m": 16, "hnsw_ef_construction": 100, "hnsw_ef_search": 32}


def vectors(count: int = COUNT, dimension: int = DIMENSION, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


QUERIES = vectors(100, seed=1)


def write(index: Path, kind: str = "flat", parameters: dict[str, int] | None = None, **given: Vectors) -> str:
    """A collection of an index, in two blocks; its name."""
    blocks = np.array_split(given.get("rows", vectors()), 2)
    part = write_collection(index, 1, blocks, uri=None, index_type=kind, parameters=parameters or {})
    return str(part.collection)


def opened(index: Path, collection: str, kind: str = "flat", **given: object) -> MilvusVectors:
    parameters = HNSW if kind == "hnsw" else {}
    return MilvusVectors("milvus.db", collection, index=index, index_type=kind, parameters=parameters, **given)  # type: ignore[arg-type]


def nearest(among: Vectors, rows: NDArray[np.int64], top_k: int = 10) -> NDArray[np.int64]:
    """What FAISS's exact search says, as rows."""
    index = faiss.IndexFlatIP(among.shape[1])
    index.add(np.ascontiguousarray(among[rows]))
    found: NDArray[np.int64] = rows[index.search(QUERIES, min(top_k, len(rows)))[1]]
    return found


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    index = tmp_path_factory.mktemp("flat")
    return index, write(index)


def test_the_ten_nearest_of_a_hundred_queries_are_those_of_faiss_flat(flat: tuple[Path, str]) -> None:
    part = opened(*flat)
    found = part.search(QUERIES, 10)
    part.close()
    np.testing.assert_array_equal(found.rows, nearest(vectors(), np.arange(COUNT)))
    np.testing.assert_allclose(found.scores, np.take_along_axis(QUERIES @ vectors().T, found.rows, axis=1), rtol=1e-4)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.95, 1.0])
@pytest.mark.parametrize("named", [8192, 20], ids=["all_named_at_once", "named_in_portions"])
def test_candidate_rows_are_searched_exactly(
    flat: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, share: float, named: int
) -> None:
    monkeypatch.setattr(milvus, "_EXPRESSION_ROWS", named)
    rows = np.sort(np.random.default_rng(2).permutation(COUNT)[: int(share * COUNT)])
    part = opened(*flat)
    found = part.search(QUERIES, 10, rows=rows)
    part.close()
    np.testing.assert_array_equal(found.rows, nearest(vectors(), rows))


def test_candidates_far_from_every_query_are_found_although_all_others_are_nearer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(milvus, "_EXPRESSION_ROWS", 20)
    rows = vectors()
    rows[:300] *= 0.001
    part = opened(tmp_path, write(tmp_path, rows=rows))
    far = np.arange(0, 300, 2)
    found = part.search(QUERIES, 10, rows=far)
    part.close()
    np.testing.assert_array_equal(found.rows, nearest(rows, far))


def test_deleted_rows_are_never_found_and_the_older_version_goes_on_finding_them(flat: tuple[Path, str]) -> None:
    before = opened(*flat)
    gone = np.unique(before.search(QUERIES, 1).rows)
    after = opened(*flat, deleted=gone)
    found, still = after.search(QUERIES, 10), before.search(QUERIES, 1)
    assert len(after) == COUNT
    after.close()
    before.close()
    np.testing.assert_array_equal(found.rows, nearest(vectors(), np.setdiff1d(np.arange(COUNT), gone)))
    np.testing.assert_array_equal(np.unique(still.rows), gone)


def test_fewer_candidates_than_asked_for_give_as_many_results(flat: tuple[Path, str]) -> None:
    part = opened(*flat)
    some = part.search(QUERIES[:2], 10, rows=np.array([5, 7]))
    none = part.search(QUERIES[:2], 10, rows=np.empty(0, np.int64))
    every = part.search(QUERIES[:2], 5000)
    part.close()
    assert np.sort(some.rows, axis=1).tolist() == [[5, 7], [5, 7]]
    assert none.rows.shape == (2, 0)
    assert every.rows.shape == (2, COUNT)


def test_equal_vectors_come_in_the_order_of_their_rows(tmp_path: Path) -> None:
    part = opened(tmp_path, write(tmp_path, rows=np.repeat(vectors(3), 4, axis=0)))
    found = part.search(QUERIES[:5], 12)
    part.close()
    assert all(np.array_equal(group, np.sort(group)) for row in found.rows for group in np.split(row, 3))


def test_vectors_come_back_to_the_bit_in_the_order_of_the_rows_asked_for(flat: tuple[Path, str]) -> None:
    part = opened(*flat)
    rows = np.array([599, 0, 17, 0])
    back = part.reconstruct(rows)
    assert part.keeps_vectors
    part.close()
    np.testing.assert_array_equal(back, vectors()[rows])


@pytest.mark.parametrize("kind", ["hnsw", "auto"])
def test_an_approximate_index_compares_few_candidates_exactly_and_gives_all_that_are_asked_for(
    tmp_path: Path, kind: str
) -> None:
    part = opened(tmp_path, write(tmp_path, kind, HNSW), kind)
    rows = np.arange(0, COUNT, 3)
    among, ten, every = part.search(QUERIES, 10, rows=rows), part.search(QUERIES, 10), part.search(QUERIES[:3], COUNT)
    part.close()
    np.testing.assert_allclose(among.scores, -np.sort(-(QUERIES @ vectors()[rows].T))[:, :10], rtol=1e-4)
    assert np.isin(among.rows, rows).all()
    assert (np.sort(every.rows, axis=1) == np.arange(COUNT)).all()
    assert (ten.rows == nearest(vectors(), np.arange(COUNT))).mean() > 0.9


def test_a_second_process_is_told_that_the_database_is_open_and_closing_frees_it(flat: tuple[Path, str]) -> None:
    index, collection = flat
    code = (
        "import sys; from pathlib import Path; from semiparametric.store.milvus import MilvusVectors\n"
        "from semiparametric.errors import StoreError\n"
        "try:\n"
        "    index = Path(sys.argv[1])\n"
        "    print(len(MilvusVectors('milvus.db', sys.argv[2], index=index, index_type='flat', parameters={})))\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    lock = index / "milvus.db" / "LOCK"

    part = opened(index, collection)
    other = subprocess.run(
        [sys.executable, "-c", code, str(index), collection], capture_output=True, text=True, timeout=120, check=True
    )
    part.close()

    assert "another process has this local database open" in other.stdout
    assert "milvus-lite server" in other.stdout
    assert "Traceback" not in other.stderr
    with lock.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is still held


def test_a_collection_begun_by_a_killed_build_is_dropped_by_the_next(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; import numpy as np\n"
        "from semiparametric.store.milvus_collections import write_collection\n"
        "def blocks():\n"
        "    yield np.ones((500, 8), np.float32)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_collection(Path(sys.argv[1]), 1, blocks(), uri=None, index_type='flat', parameters={})\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=120, check=False)
    assert killed.returncode == -signal.SIGKILL
    left = json.loads((tmp_path / LEDGER).read_text())[0]["collection"]
    assert collections(tmp_path) == [left]

    name = write(tmp_path)

    assert collections(tmp_path) == [name]
    assert [line["collection"] for line in json.loads((tmp_path / LEDGER).read_text())] == [name]


def test_collections_of_others_are_never_dropped(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    theirs.mkdir()
    uri = str(tmp_path / "shared.db")
    name = write_collection(theirs, 1, [vectors()], uri=uri, index_type="flat", parameters={}).collection
    write_collection(ours, 1, [vectors()], uri=uri, index_type="flat", parameters={})
    assert len(remove_unnamed(ours)) == 1
    with connected(uri) as client:
        assert client.list_collections() == [name]


@pytest.mark.slow
@pytest.mark.system
def test_a_store_goes_on_when_a_server_is_back_and_says_meanwhile_that_it_is_away(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}"
    with server(tmp_path / "vectors.db", port):
        name = write_collection(tmp_path, 1, [vectors()], uri=uri, index_type="flat", parameters={}).collection
        part = MilvusVectors(uri, str(name), index=tmp_path, index_type="flat", parameters={})
        before = part.search(QUERIES, 10)
    with pytest.raises(StoreError, match=f"{uri}, collection {name}: a call to Milvus failed"):
        part.search(QUERIES, 10)
    with server(tmp_path / "vectors.db", port):
        after = eventually(lambda: part.search(QUERIES, 10))
        part.close()
    np.testing.assert_array_equal(after.rows, before.rows)


@contextmanager
def server(database: Path, port: int) -> Iterator[None]:
    """`milvus-lite server` for the length of a block."""
    command = [sys.executable, "-m", "milvus_lite", "server", "--data-dir", str(database), "--host", "127.0.0.1"]
    with subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.DEVNULL) as process:
        try:
            eventually(lambda: socket.create_connection(("127.0.0.1", port), 1).close())
            yield
        finally:
            process.kill()


def eventually(call: Callable[[], Result]) -> Result:
    """What a call gives once it no longer fails."""
    for _ in range(120):
        try:
            return call()
        except (OSError, StoreError):
            time.sleep(0.5)
    return call()


def collections(index: Path) -> list[str]:
    with connected(located("milvus.db", index)) as client:
        return sorted(client.list_collections())


def test_refuses_a_collection_that_is_not_there(flat: tuple[Path, str]) -> None:
    with pytest.raises(StoreError, match=r"collection cosup_nothing_1: there is no such collection.*build the index"):
        opened(flat[0], "cosup_nothing_1")


def test_refuses_queries_and_rows_that_do_not_fit(flat: tuple[Path, str]) -> None:
    part = opened(*flat)
    with pytest.raises(InputError, match=rf"shape \[2, 5\], the index wants \[n, {DIMENSION}\]"):
        part.search(vectors(2, 5), 10)
    with pytest.raises(InputError, match="top_k is 16385"):
        part.search(QUERIES, 16385)
    with pytest.raises(InputError, match="NaN"):
        part.search(np.full((1, DIMENSION), np.nan, np.float32), 1)
    with pytest.raises(InputError, match=f"row {COUNT} is not one of the {COUNT} rows"):
        part.search(QUERIES, 10, rows=np.array([0, COUNT]))
    with pytest.raises(InputError, match="row -1 "):
        part.reconstruct(np.array([-1]))
    part.close()


def test_refuses_an_index_type_that_milvus_is_not_given(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"'ivf-pq' is no index type of --store milvus\. Choose one of auto, flat, hnsw"
    ):
        write(tmp_path, "ivf-pq")


def test_refuses_no_vector_and_blocks_of_two_dimensions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no vector"):
        write_collection(tmp_path, 1, [], uri=None, index_type="flat", parameters={})
    with pytest.raises(InputError, match="5 dimensions, those before it 4"):
        write_collection(tmp_path, 1, [vectors(2, 4), vectors(2, 5)], uri=None, index_type="flat", parameters={})


def test_refuses_a_server_that_does_not_answer_and_never_says_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, "root:secret-word")
    with pytest.raises(StoreError, match=f"http://127.0.0.1:9: no Milvus answers there.*{TOKEN}") as raised:
        write_collection(tmp_path, 1, [vectors()], uri="http://127.0.0.1:9", index_type="flat", parameters={})
    assert "secret-word" not in str(raised.value) + (tmp_path / LEDGER).read_text()


def test_refuses_a_file_where_a_database_should_be(tmp_path: Path) -> None:
    (tmp_path / "milvus.db").write_text("words")
    with pytest.raises(StoreError, match="is a file, and milvus-lite keeps a database in a folder"):
        opened(tmp_path, "any")


@pytest.mark.parametrize("missing", ["pymilvus", "milvus_lite"])
def test_refuses_without_the_client_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, f"{missing}.server_manager", raising=False)
    with pytest.raises(StoreError, match=r"is not installed. Install it with `pip install 'cosup\[milvus\]'`"):
        opened(tmp_path, "any")
