"""One open version of an index, and how long it stays open.

Everything here but the reading of files runs on the event loop, so that counting uses needs no lock.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiparametric.errors import InputError, StoreError
from semiparametric.formats import Scalar
from semiparametric.spec import PairSpec
from semiparametric.store import Store
from semiparametric.store.layout import MANIFEST, served_version, version_folder
from service.decoding.together import SearchedTogether


@dataclass(frozen=True)
class Published:
    """What an index's folder says is to be served, known without reading any of it.

    manifest: inode and modification time of the manifest; an index that was built anew has a version 1 again.
    """

    version: int
    manifest: tuple[int, int]


class IndexVersion:
    """An open version of an index. It is closed when it is retired and its last use has ended.

    Attributes:
        name: The name that the index is served under.
        published: What was published when it was opened.
        store: Its passages and vectors.
        searched: The store as lookups search it, those that come at once together.
    """

    def __init__(self, name: str, published: Published, store: Store) -> None:
        self.name = name
        self.published = published
        self.store = store
        self.searched = SearchedTogether(store)
        self._uses = 0
        self._is_retired = False
        self._closing: asyncio.Future[None] | None = None

    @property
    def is_used(self) -> bool:
        """Whether a request in flight is answered from it."""
        return self._uses > 0

    @contextmanager
    def used(self) -> Iterator["IndexVersion"]:
        """Keep it open until the block ends."""
        self._uses += 1
        try:
            yield self
        finally:
            self._uses -= 1
            self._close_if_over()

    def retire(self) -> None:
        """No use of it will begin any more."""
        self._is_retired = True
        self._close_if_over()

    async def closed(self) -> None:
        """Wait until its files are closed, where their closing has begun."""
        if self._closing is not None:
            await self._closing

    async def candidate_rows(
        self,
        candidates: Sequence[str] | None,
        filter: Mapping[str, Scalar],  # noqa: A002 - the word of the HTTP contract
    ) -> NDArray[np.int64] | None:
        """The rows that a lookup may choose from; None for all. What it reads of the store, it reads in a thread.

        Raises:
            InputError: The index has no such passage, or no such metadata field.
        """
        if candidates is None and not filter:
            return None  # most requests: a thread and back costs milliseconds while the engine computes
        return await asyncio.to_thread(self._rows_of, candidates, filter)

    def _rows_of(self, candidates: Sequence[str] | None, wanted: Mapping[str, Scalar]) -> NDArray[np.int64]:
        parts = []
        if candidates is not None:
            with _placed("candidates"):
                parts.append(self.store.rows_of(candidates))
        if wanted:
            with _placed("filter"):
                parts.append(self.store.rows_matching(wanted))
        return reduce(np.intersect1d, parts)

    def _close_if_over(self) -> None:
        if self._is_retired and not self._uses and self._closing is None:
            # letting go of gigabytes of mapped files takes a while
            self._closing = asyncio.get_running_loop().run_in_executor(None, self.store.close)


def read_published(folder: Path) -> Published:
    """What is published in an index's folder; two small reads.

    Raises:
        StoreError: Nothing is, or it cannot be read.
    """
    with _readable(folder):
        version = served_version(folder)
        found = (version_folder(folder, version) / MANIFEST).stat()
    return Published(version, (found.st_ino, found.st_mtime_ns))


def open_version(folder: Path, published: Published, spec: PairSpec) -> Store:
    """Open what is published, verified as a whole, which reads all of it: call it in a thread.

    Raises:
        StoreError: It is damaged or another pair's.
    """
    with _readable(folder):
        store = Store.open(folder, version=published.version, fingerprint=spec.fingerprint)
    try:
        spec.served_dimension(store.dimension)
    except InputError as error:
        store.close()
        raise StoreError(error.message, where=str(folder), remedy="Build it again with this pair") from error
    return store


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """What the operating system refuses is an error of the store: a disk that is gone must not end the service."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot be read ({error})", where=str(folder), remedy="Look whether it is there") from error


@contextmanager
def _placed(field: str) -> Iterator[None]:
    """Errors about the value of a request's field say which field it is."""
    try:
        yield
    except InputError as error:
        raise InputError(error.message, where=field, remedy=error.remedy) from error
