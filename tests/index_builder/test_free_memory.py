"""Holes between blocks in use: the C library keeps them, and gives them back when it is asked to."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from index_builder import encoder
from index_builder.encoder import EncoderPlan, ShardEncoder, ShardJob
from index_builder.free_memory import give_back_free_memory

HOLES = """
from pathlib import Path
from index_builder.free_memory import give_back_free_memory

def mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) // 1024

blocks = [bytearray(b"x" * 65_536) for _ in range(4096)]
full = mib()
del blocks[::2]
holed = mib()
give_back_free_memory()
print(full, holed, mib())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives free memory back when asked to")
def test_holes_between_blocks_in_use_are_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    full, holed, after = map(int, done.stdout.split())
    assert full - holed < 32, "the holes are kept"
    assert full - after > 96, "and given back: half of 256 MiB"


def test_an_encoder_gives_back_what_each_batch_left(tiny_pair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def give_back() -> None:
        told.append("given back")
        give_back_free_memory()

    monkeypatch.setattr(encoder, "give_back_free_memory", give_back)
    one = ShardEncoder(EncoderPlan(tiny_pair, "cpu", "float32", torch.get_num_threads(), 64, None))

    def jobs() -> Iterator[ShardJob]:
        for number in range(2):
            yield ShardJob(number, [f"The keeper trims lamp {lamp} at dusk." for lamp in range(9)])

    shards = list(one.run(jobs(), lambda _count: told.append("batch")))
    assert len(shards) == 2
    assert told.count("given back") == told.count("batch") > len(shards)
