"""Encoding takes no more memory the more batches there are, all of them of different shapes."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pair_kinds import save_pair_of

ENCODE = """
import ctypes, sys
from pathlib import Path
import torch
from index_builder.encoder import EncoderPlan, ShardEncoder, ShardJob

class Mallinfo(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

mallinfo2 = ctypes.CDLL(None).mallinfo2
mallinfo2.restype = Mallinfo

encoder = ShardEncoder(EncoderPlan(Path(sys.argv[1]), "cpu", sys.argv[2], 1, 512, None))

def encode(least, most):
    for length in range(least, most):
        for rows in (1, 2, 3):
            encoder.encode(ShardJob(0, [" ".join(["lamp"] * length)] * rows))

encode(1, 8)
before = mallinfo2().uordblks
encode(8, 40)
print((mallinfo2().uordblks - before) // 1024)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is in use is asked of glibc")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batches_of_new_shapes_leave_nothing_behind(tmp_path: Path, dtype: str) -> None:
    save_pair_of(tmp_path / "pair", "projected")  # its Embseq is a BERT
    command = [sys.executable, "-c", ENCODE, str(tmp_path / "pair"), dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 500  # KiB, of 96 shapes: more than 2 MB where oneDNN keeps its primitives
