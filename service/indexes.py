"""The indexes of a running service: each follows what is published in its folder while it is served."""

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from semiparametric.errors import CosupError, InputError, StoreError
from semiparametric.spec import PairSpec
from service.index_folders import IndexFolder, refuse_doubles, served_name
from service.index_version import IndexVersion, Published, open_version, read_published

logger = logging.getLogger(__name__)


class ServedIndex:
    """One index: its version that answers now, which another one may take the place of at any time.

    Attributes:
        name: The name that it is served under, whatever later versions call themselves.
        folder: Where it lies.
        current: What a request that begins now is answered from.
        refused: What is published and could not be opened; None where all is well.
    """

    def __init__(self, folder: Path, spec: PairSpec, current: IndexVersion) -> None:
        self.name = current.name
        self.folder = folder
        self.current = current
        self.refused: Published | None = None
        self._spec = spec
        self._told = ""
        self._refreshing = asyncio.Lock()

    async def refresh(self) -> None:
        """Serve the published version, older or newer, if it is not the one that is served already.

        Raises:
            StoreError: It cannot be served; the log says so once. What was served still is.
        """
        async with self._refreshing:
            try:
                await self._refresh()
            except StoreError as error:
                self._tell(error)
                raise
            self.refused, self._told = None, ""

    async def _refresh(self) -> None:
        published = await asyncio.to_thread(read_published, self.folder)
        if published == self.current.published:
            return
        try:
            store = await asyncio.to_thread(open_version, self.folder, published, self._spec)
        except StoreError:
            self.refused = published
            raise
        self._replace(IndexVersion(self.name, published, store))

    def _tell(self, error: StoreError) -> None:
        if str(error) != self._told:
            self._told = str(error)
            fields = {"index": self.name, "version": self.current.published.version}
            logger.error("what is published is refused, the version stays: %s", error, extra={"fields": fields})

    async def close(self) -> None:
        """Close what is served now; where it is still used, that happens after its last use."""
        self.current.retire()
        await self.current.closed()

    def _replace(self, version: IndexVersion) -> None:
        old, self.current = self.current, version
        old.retire()
        fields = {"index": self.name, "version": version.published.version, "passages": len(version.store)}
        logger.info("another version is served", extra={"fields": fields | {"before": old.published.version}})


class Indexes(Mapping[str, ServedIndex]):
    """The indexes of a service by name, the default one first."""

    def __init__(self, served: Sequence[ServedIndex]) -> None:
        self._served = {index.name: index for index in served}

    def __getitem__(self, name: str) -> ServedIndex:
        return self._served[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._served)

    def __len__(self) -> int:
        return len(self._served)

    @property
    def default(self) -> ServedIndex:
        """The one that is meant where a request names none."""
        return next(iter(self._served.values()))

    async def close(self) -> None:
        """Close every index, as `ServedIndex.close` does."""
        for index in self._served.values():
            await index.close()


async def open_indexes(folders: Sequence[IndexFolder], spec: PairSpec) -> Indexes:
    """Open the published version of each index, verified as a whole.

    Raises:
        InputError: A name is missing or given twice.
        StoreError: An index is missing, damaged or another pair's.
    """
    served: list[ServedIndex] = []
    try:
        for index in folders:
            served.append(await _opened(index, spec))
            refuse_doubles(one.name for one in served)
    except CosupError:
        for one in served:
            await one.close()
        raise
    return Indexes(served)


async def _opened(index: IndexFolder, spec: PairSpec) -> ServedIndex:
    published = await asyncio.to_thread(read_published, index.folder)
    store = await asyncio.to_thread(open_version, index.folder, published, spec)
    try:
        name = served_name(index, store.name)
    except InputError:
        store.close()
        raise
    return ServedIndex(index.folder, spec, IndexVersion(name, published, store))
