"""Maps of indexes: where passages, and the query states of an answer's lookups, lie in the plane of an index."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from semiparametric.store import Store
from service.decoding.answer import Lookup
from service.index_version import IndexVersion
from service.map_schemas import MappedPassage, MapResponse
from service.plane import Plane, evenly_spaced, fit_plane
from service.replies import index_info
from service.schemas import LookupHit, LookupResult, MapPoint

logger = logging.getLogger(__name__)

MAPPED = 4096
"""Passages of an index that its map shows, at most."""


@dataclass(frozen=True)
class IndexMap:
    """The map of one version of an index.

    plane: of its vectors.
    document: the `MapResponse` as JSON, ready to be sent.
    """

    plane: Plane
    document: bytes


class Maps:
    """The map of each open version of an index, made when it is first asked for and kept as long as the version."""

    def __init__(self) -> None:
        self._maps: WeakKeyDictionary[IndexVersion, IndexMap] = WeakKeyDictionary()
        self._drawing: dict[IndexVersion, asyncio.Task[IndexMap]] = {}
        self._one_at_a_time = asyncio.Lock()  # drawing may take all cores for seconds

    async def of(self, version: IndexVersion) -> IndexMap | None:
        """The map of a version; None where the index did not keep its vectors as they were encoded.

        Who stops waiting does not stop the drawing: the next who asks finds the map, or waits for the same one.
        """
        if not version.store.keeps_vectors:
            return None
        found = self._maps.get(version)
        if found is not None:
            return found
        if version not in self._drawing:
            self._drawing[version] = asyncio.create_task(self._draw(version))
        return await asyncio.shield(self._drawing[version])

    async def _draw(self, version: IndexVersion) -> IndexMap:
        try:
            with version.used():  # the request that asked may be gone before the thread is done with the files
                async with self._one_at_a_time:
                    drawn = self._maps[version] = await asyncio.to_thread(draw_map, version)
            return drawn
        finally:
            del self._drawing[version]

    async def close(self) -> None:
        """Wait until nothing is drawn any more: a thread that reads an index cannot be stopped."""
        await asyncio.gather(*self._drawing.values(), return_exceptions=True)

    async def place(self, lookups: Sequence[Lookup], version: IndexVersion) -> list[LookupResult]:
        """The lookups of an answer, with their points where the index has a map."""
        index_map = await self.of(version)
        plane = index_map.plane if index_map else None
        return await asyncio.to_thread(lambda: [_placed(lookup, version.store, plane) for lookup in lookups])


def draw_map(version: IndexVersion) -> IndexMap:
    """The map of at most `MAPPED` passages of a version, evenly spaced over its rows; always the same for a version.

    It reads vectors and takes up to some seconds, so call it in a thread.
    """
    start, store = perf_counter(), version.store
    live = store.live_rows()
    rows = live[evenly_spaced(len(live), MAPPED)]
    vectors = store.vectors(rows)
    plane = fit_plane(vectors)
    points = map(_point, plane.points(vectors))
    passages = [
        MappedPassage(id=passage.id, title=passage.title, point=point)
        for passage, point in zip(map(store.passage, rows.tolist()), points, strict=True)
    ]
    response = MapResponse(index=index_info(version), count=len(store), share=plane.share(vectors), passages=passages)
    logger.info(
        "drew the map of %s, version %d: %d of %d passages in %.1f s",
        *(version.name, store.version, len(rows), len(store), perf_counter() - start),
    )
    return IndexMap(plane, response.model_dump_json().encode())


def _placed(lookup: Lookup, store: Store, plane: Plane | None) -> LookupResult:
    found = lookup.found
    points: list[MapPoint | None] = [None] * len(found)
    query = None
    if plane is not None:
        query = _point(plane.points(lookup.query[None, :])[0])
        points = [*map(_point, plane.points(store.vectors(np.array([hit.row for hit in found], np.int64))))]
    hits = [
        LookupHit(id=hit.passage.id, score=hit.score, point=point) for hit, point in zip(found, points, strict=True)
    ]
    return LookupResult(at=lookup.at, used=lookup.used, query=query, passages=hits)


def _point(xy: NDArray[np.float64]) -> MapPoint:
    x, y = (float(f"{number:.5g}") for number in xy)  # more digits than a screen has would only make the map heavier
    return MapPoint(x=x, y=y)
