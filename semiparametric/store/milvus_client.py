"""The connection to Milvus: the only file that knows pymilvus, which is imported when a connection is opened."""

import fcntl
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from semiparametric.errors import StoreError

TOKEN = "COSUP_MILVUS_TOKEN"
"""The environment variable of the token, or of `user:password`; it is written nowhere."""

LOCAL = ".db"
"""A URI that ends so is a local database of milvus-lite."""

ROW, VECTOR = "row", "vector"
"""The fields of a collection: the part's row, which is the primary key, and the sequence embedding."""

CALL_SECONDS = 60.0
"""How long one call may take."""

_CONNECT_SECONDS = 10.0
# they log a stack with each error, which is raised anyway; grpc's is that of the server, which is in this process
_LOUD = ("pymilvus.decorators", "pymilvus.client.connection_manager")
_LOUD_LOCAL = ("milvus_lite.server_manager", "milvus_lite.adapter.grpc.servicer", "grpc._server")
_NO_DOTENV = "PYTHON_DOTENV_DISABLED"
_INSTALL = "Install it with `pip install 'cosup[milvus]'`, or 'cosup[milvus-lite]' for local databases as well"


@dataclass
class _Connection:
    client: Any
    users: int


_connections: dict[str, _Connection] = {}
_lock = threading.Lock()


def located(uri: str, index: Path) -> str:
    """A URI as pymilvus wants it; a local database's path is relative to the index's folder."""
    return str(index.resolve() / uri) if uri.endswith(LOCAL) else uri


def recorded(uri: str | None, index: Path) -> str:
    """A URI as the manifest names it: a local database in the index's folder relative to it, so that both can move."""
    if uri is None:
        return "milvus.db"
    if not uri.endswith(LOCAL):
        return uri
    path = Path(uri).resolve()
    return str(path.relative_to(index.resolve())) if path.is_relative_to(index.resolve()) else str(path)


def connect(uri: str) -> Any:
    """A `MilvusClient`; calls with one URI share one, until each has called `disconnect`.

    Raises:
        StoreError: pymilvus is not installed, or nothing answers.
    """
    with _lock:
        if uri not in _connections:
            _connections[uri] = _Connection(_open(uri), 0)
        _connections[uri].users += 1
        return _connections[uri].client


def disconnect(uri: str) -> None:
    """Undo one `connect`. The last one closes the connection, and lets other processes open a local database."""
    with _lock:
        connection = _connections[uri]
        connection.users -= 1
        if connection.users:
            return
        del _connections[uri]
        connection.client.close()
        if uri.endswith(LOCAL):
            from milvus_lite.server_manager import server_manager_instance

            server_manager_instance.release_server(uri)


def check_client(uri: str, index: Path) -> None:
    """Look whether Milvus answers; a local database that is not there yet is not made.

    Raises:
        StoreError: It does not answer, or its client is not installed.
    """
    place = located(uri, index)
    if place.endswith(LOCAL) and not Path(place).exists():
        _import_client(local=True)
        return
    with connected(place) as client:
        client.list_collections(timeout=CALL_SECONDS)


@contextmanager
def connected(uri: str) -> Iterator[Any]:
    """A client for the length of a block."""
    client = connect(uri)
    try:
        with milvus_errors(uri):
            yield client
    finally:
        disconnect(uri)


@contextmanager
def milvus_errors(where: str) -> Iterator[None]:
    """Turn what pymilvus raises into a StoreError that says what to do."""
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        remedy = "Look whether it is up and into its log, then try again"
        raise StoreError(f"a call to Milvus failed: {error.message.strip()}", where=where, remedy=remedy) from error


def while_loaded(client: Any, collection: str, call: Callable[..., Any], **given: Any) -> Any:
    """What `call(collection, **given)` gives; a collection released meanwhile, as by a restart, is loaded again."""
    from pymilvus.exceptions import MilvusException

    try:
        return call(collection, timeout=CALL_SECONDS, **given)
    except MilvusException:
        if client.get_load_state(collection, timeout=CALL_SECONDS)["state"].name == "Loaded":
            raise
        client.load_collection(collection)
        return call(collection, timeout=CALL_SECONDS, **given)


def create_collection(client: Any, name: str, dimension: int, description: str) -> None:
    """An empty collection for rows and their vectors."""
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False, description=description)
    schema.add_field(ROW, DataType.INT64, is_primary=True)
    schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=dimension)
    client.create_collection(name, schema=schema, timeout=CALL_SECONDS)


def _open(uri: str) -> Any:
    client_class = _import_client(local=uri.endswith(LOCAL))
    from pymilvus.exceptions import MilvusException

    try:
        if uri.endswith(LOCAL):
            Path(uri).parent.mkdir(parents=True, exist_ok=True)
        return client_class(uri, token=os.environ.get(TOKEN, ""), timeout=_CONNECT_SECONDS)
    except (MilvusException, OSError) as error:
        problem, remedy = _local_problem(Path(uri)) if uri.endswith(LOCAL) else _remote_problem(error)
        raise StoreError(problem, where=uri, remedy=remedy) from error


def _import_client(*, local: bool) -> type[Any]:
    try:
        with _no_dotenv():
            from pymilvus import MilvusClient

            if local:
                import milvus_lite.server_manager  # noqa: F401 - so that its absence is said here, with the remedy
    except ImportError as error:
        raise StoreError(f"the index is kept in Milvus, and {error.name} is not installed", remedy=_INSTALL) from error
    for loud in (*_LOUD, *(_LOUD_LOCAL if local else ())):
        logging.getLogger(loud).setLevel(logging.CRITICAL)
    return MilvusClient  # type: ignore[no-any-return]


@contextmanager
def _no_dotenv() -> Iterator[None]:
    """Keep pymilvus from reading a `.env` file into the environment when it is imported."""
    before = os.environ.get(_NO_DOTENV)
    os.environ[_NO_DOTENV] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NO_DOTENV]
        else:
            os.environ[_NO_DOTENV] = before


def _local_problem(path: Path) -> tuple[str, str]:
    if path.is_file():
        return "is a file, and milvus-lite keeps a database in a folder", "Name another path that ends in .db"
    if _held(path / "LOCK"):
        return (
            "another process has this local database open, and only one at a time can",
            "End that, or share it: start `milvus-lite server --data-dir` on it and name its http://127.0.0.1:19530",
        )
    return "cannot be opened as a database of milvus-lite", "Look whether the folder is whole and may be written"


def _held(lock: Path) -> bool:
    try:
        with lock.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _remote_problem(error: Exception) -> tuple[str, str]:
    return (
        f"no Milvus answers there ({getattr(error, 'message', error)})",
        f"Start it, or look at the address and at the token in {TOKEN}",
    )
