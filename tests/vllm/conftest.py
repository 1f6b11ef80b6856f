"""Tests against the real vLLM. `make test-vllm` makes an environment that has it; elsewhere they are skipped."""

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))  # a start of vLLM on two busy cores takes minutes
            item.add_marker(pytest.mark.filterwarnings("default"))  # of libraries that vLLM calls in old ways
            if find_spec("vllm") is None:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: run `make test-vllm`"))
