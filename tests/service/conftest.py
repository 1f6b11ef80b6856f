"""An index of a few passages, and a service over it, for the tests that want nothing special of either."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.service.running import running_app
from tests.small_index import build_small_index


@pytest.fixture(scope="module")
def index(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small_index(tiny_pair, tmp_path_factory.mktemp("index") / "small")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tiny_pair: Path, index: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running_app(pair=tiny_pair, index=index) as client:
        yield client
