"""Weight files of a checkpoint: found, looked into without loading them, read one at a time.

Nothing is unpickled but tensors: PyTorch's .bin files are pickles, and are opened with `weights_only=True` alone.
"""

import json
import pickle
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from semiparametric.errors import PairError

# What torch's unpickler and safetensors raise over bytes that are no weights, apart from UnpicklingError.
_UNREADABLE = (OSError, RuntimeError, EOFError, SafetensorError, LookupError, ValueError, TypeError, AttributeError)
_LAYOUTS = ("model.safetensors", "pytorch_model.bin")  # the first that is there is read


def find_shards(folder: Path) -> list[Path]:
    """The weight files of a checkpoint, safetensors where it has both kinds.

    Raises:
        PairError: There are none, or the index of the files is wrong.
    """
    for name in _LAYOUTS:
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _shards_of(index)
        if (folder / name).is_file():
            return [folder / name]
    raise PairError(
        "the checkpoint has no weights",
        where=str(folder),
        remedy=f"It must hold {' or '.join(_LAYOUTS)}, or an index of several such files",
    )


def shapes_of(shard: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a file's tensors; no weight is read."""
    with _readable(shard):
        if shard.suffix == ".safetensors":
            with safe_open(shard, "pt") as opened:
                return {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
        return {name: tuple(tensor.shape) for name, tensor in _unpickled(shard, device="meta").items()}


def tensors_of(shard: Path, names: Iterable[str]) -> Iterator[tuple[str, Tensor]]:
    """Tensors of a file, one after another, as views of the file where its format allows it."""
    with _readable(shard):
        if shard.suffix == ".safetensors":
            with safe_open(shard, "pt") as opened:
                for name in names:
                    yield name, opened.get_tensor(name)
        else:
            tensors = _unpickled(shard, device="cpu")
            for name in names:
                yield name, tensors[name]


def _shards_of(index: Path) -> list[Path]:
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PairError("it is not an index of weight files", where=str(index)) from error
    strange = [name for name in names if Path(name).name != name]
    missing = [name for name in names if not (index.parent / name).is_file()]
    if not names or strange or missing:
        fault = f"it names {', '.join(strange or missing) or 'no file'}"
        raise PairError(
            f"{fault}, {'which is no file name' if strange else 'which the folder lacks'}" if names else fault,
            where=str(index),
            remedy="Download or copy the checkpoint again as a whole",
        )
    return [index.parent / name for name in names]


def _unpickled(shard: Path, *, device: str) -> dict[str, Tensor]:
    """The tensors of a .bin file, mapped from disk where its format allows it."""
    state = torch.load(shard, map_location=device, weights_only=True, mmap=is_zipfile(shard))
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise PairError(
            "it holds something other than named tensors",
            where=str(shard),
            remedy="Save the model's state_dict alone, best as safetensors",
        )
    return state


@contextmanager
def _readable(shard: Path) -> Iterator[None]:
    try:
        yield
    except pickle.UnpicklingError as error:
        raise PairError(
            "it is a pickle of more than tensors, which could run code, or is damaged; it was not loaded",
            where=str(shard),
            remedy="Ask its owner for safetensors, or for a file that holds tensors alone",
        ) from error
    except _UNREADABLE as error:
        raise PairError(
            f"it cannot be read ({type(error).__name__}: {str(error).partition(chr(10))[0]})",
            where=str(shard),
            remedy="Download or copy the checkpoint again",
        ) from error
