"""Where Embseq runs: which devices there are, and all about them that the last bits of a vector depend on."""

from dataclasses import dataclass

import torch

from index_builder.encoding_settings import EncodingSettings
from semiparametric.errors import InputError


@dataclass(frozen=True)
class Devices:
    """The devices of a build, all of one kind.

    names: As torch names them, one for each process that encodes.
    dtype: What is computed in there, float32 or bfloat16.
    threads: Of each process.
    kind: What a shard's bytes depend on, whichever of the devices makes it.
    batch_tokens: Encoded at once.
    """

    names: tuple[str, ...]
    dtype: str
    threads: int
    kind: str
    batch_tokens: int


def find_devices(settings: EncodingSettings) -> Devices:
    """The devices that the settings name.

    Raises:
        InputError: One of them is not here, or they are of several kinds, so that bytes would depend on chance.
    """
    names = _names(settings.device)
    for name in names:
        _try(name)
    kinds = {name: _kind(name) for name in names}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name} is {kind}" for name, kind in kinds.items())
        raise InputError(
            f"they round differently ({said})", where="--device", remedy="Name devices of one kind, as cuda:0,cuda:1"
        )
    on_cpu = names[0].startswith("cpu")
    threads = settings.encoding_threads or max(torch.get_num_threads() // (len(names) if on_cpu else 1), 1)
    kind = f"{kinds[names[0]]}, {threads} threads" if on_cpu else kinds[names[0]]
    dtype, batch_tokens = resolved_dtype(settings.dtype, names[0]), resolved_batch_tokens(settings, names[0])
    return Devices(tuple(names), dtype, threads, kind, batch_tokens)


def resolved_dtype(dtype: str, device: str) -> str:
    """What `auto` means on a device."""
    if dtype != "auto":
        return dtype
    return "bfloat16" if device.startswith("cuda") else "float32"


def resolved_batch_tokens(settings: EncodingSettings, device: str) -> int:
    """What the settings say; else enough to fill a GPU, or as few as stay in a CPU's cache."""
    return settings.batch_tokens or (8192 if device.startswith("cuda") else 1024)


def cpu_kind() -> str:
    """This CPU, as its rounding depends on it."""
    return f"cpu with {torch.backends.cpu.get_cpu_capability()}"


def _names(device: str) -> list[str]:
    if device == "auto":
        gpus = _gpus()
        first = [name for name in gpus if _kind(name) == _kind(gpus[0])]  # others would round differently
        return first or ["cpu"]
    names: list[str] = []
    for name in device.split(","):
        names += (_gpus() or [name]) if name == "cuda" else [name]
    twice = {name for name in names if name.startswith("cuda") and names.count(name) > 1}
    if twice:
        raise InputError(f"{', '.join(sorted(twice))} is named twice", where="--device", remedy="Name each GPU once")
    return names


def _gpus() -> list[str]:
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())]


def _kind(name: str) -> str:
    return torch.cuda.get_device_name(name) if name.startswith("cuda") else cpu_kind()


def _try(name: str) -> None:
    try:
        if torch.device(name).type not in {"cpu", "cuda"}:
            raise InputError(f"{name!r} is neither a CPU nor a GPU that runs CUDA", where="--device", remedy="Try cpu")
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        first_line = str(error).splitlines()[0]
        raise InputError(f"{name!r} cannot be used: {first_line}", where="--device", remedy="Try cpu") from error
