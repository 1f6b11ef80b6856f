"""Two hundred nights: nothing grows but what is kept."""

from pathlib import Path

import pytest

from index_builder.build import build_index
from index_builder.rebuild import rebuild_index
from index_builder.settings import BuildSettings, RebuildSettings
from semiparametric.formats import write_jsonl
from semiparametric.store import Store, collect_garbage, versions
from semiparametric.store.lock import build_lock
from tests.index_builder.test_rebuild import held, passages

KEPT = 3


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def mapped_files(index: Path) -> int:
    return Path("/proc/self/maps").read_text().count(str(index))


def bytes_below(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files by /proc")
def test_two_hundred_rebuilds_leak_neither_disk_nor_handles(tmp_path: Path, tiny_pair: Path) -> None:
    corpus, index = tmp_path / "corpus.jsonl", tmp_path / "index"
    entries = passages(20)
    write_jsonl(corpus, entries)
    build_index(BuildSettings(pair=tiny_pair, corpus=[corpus], out=index, shard_passages=4))
    measured = []
    for night in range(1, 201):
        changed = entries[night % 20].model_copy(update={"text": f"Night {night:03}."})
        entries = [changed if one.id == changed.id else one for one in entries]
        write_jsonl(corpus, entries)
        done = rebuild_index(RebuildSettings(index=index))
        assert (done.manifest.version, done.counts["encoded"], done.counts["reused"]) == (night + 1, 1, 19)
        with build_lock(index):
            collect_garbage(index, KEPT)
        assert versions(index) == list(range(max(1, night + 2 - KEPT), night + 2))
        if night in {40, 200}:
            measured.append((open_files(), mapped_files(index), bytes_below(index), len(list(index.iterdir()))))
    assert held(index) == entries
    Store.open(index, check=True).close()
    early, late = measured
    assert late == early
