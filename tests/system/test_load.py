"""Many clients at once, and clients that vanish: what `benchmarks.service` does, made small."""

from pathlib import Path

import pytest

from benchmarks.service_hangups import run_hangups
from benchmarks.service_index import RebuiltIndex
from benchmarks.service_load import run_load
from benchmarks.service_process import POOL_THREADS
from cosup.child_service import child_service
from tests.service.lively import save_lively_pair
from tests.small_index import build_small_index

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_lively_pair(tmp_path_factory.mktemp("pair") / "lively")


def options(pair: Path, index: Path, **settings: object) -> list[str]:
    settings = {"pair": pair, "index": index, "port": 0, "threads": 1} | settings
    return [part for name, value in settings.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.slow
async def test_many_clients_stream_while_rebuilds_are_published_and_nothing_fails_mixes_or_grows(
    pair: Path, tmp_path: Path
) -> None:
    index = RebuiltIndex(pair, tmp_path / "small")
    with child_service(options(pair, index.folder, watch_s=0.2), tmp_path / "log") as service:
        service.wait_until_ready()
        load = await run_load(service, index, clients=16, seconds=16, every_s=2)
    assert load.failures == []
    assert load.mixed == []
    assert len(load.versions) > 2
    assert load.left_open == set()
    assert load.growth_mb < 8
    assert load.quarter(3).open_files <= load.quarter(1).open_files + 4  # a version may just be coming or going
    assert load.quarter(3).threads <= load.quarter(1).threads + POOL_THREADS


async def test_clients_that_vanish_leave_nothing_behind(pair: Path, tmp_path: Path) -> None:
    index = build_small_index(pair, tmp_path / "small")
    with child_service(options(pair, index), tmp_path / "log") as service:
        service.wait_until_ready()
        hang_ups = await run_hangups(service, 64)
    assert hang_ups.ended == hang_ups.clients == 64
    assert hang_ups.sessions == 0
    assert hang_ups.left_files == 0
    assert hang_ups.left_threads == 0
    assert hang_ups.answered
