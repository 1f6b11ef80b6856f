"""What tests of building share: a second pair, and a disk that is soon full."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM, LlamaModel

from semiparametric.control import add_control_tokens
from semiparametric.pair import save_pair
from semiparametric.spec import PairSpec, PassageForm
from tests.conftest import tiny_llama_config, tiny_tokenizer


@pytest.fixture(scope="session")
def other_pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a pair of the form of `tiny_pair`, with other weights."""
    out = tmp_path_factory.mktemp("pair") / "other"
    torch.manual_seed(1)
    tokenizer = tiny_tokenizer()
    control = add_control_tokens(tokenizer)
    config = tiny_llama_config(len(tokenizer))
    spec = PairSpec(
        control=control,
        passage=PassageForm(max_tokens=64),
        pooling="mean",
        similarity="cosine",
        temperature=0.05,
        dimension=32,
    )
    save_pair(
        out,
        gen_model=LlamaForCausalLM(config),
        gen_tokenizer=tokenizer,
        embseq_model=LlamaModel(config),
        embseq_tokenizer=tokenizer,
        spec=spec,
    )
    return out


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system with 160 KiB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a file system needs root and its capability")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)
