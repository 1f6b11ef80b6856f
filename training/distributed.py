"""A run on several processes: torchrun starts them, accelerate shards and copies, rank 0 alone writes."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch.distributed as dist
from accelerate import Accelerator, DistributedType, PartialState
from accelerate.utils import FullyShardedDataParallelPlugin
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from transformers import TrainingArguments

from semiparametric.errors import InputError
from training.gather import num_ranks


@contextmanager
def processes(*, on_cpu: bool) -> Iterator[None]:
    """Join the processes that torchrun started, if it did; all of them log what went wrong, rank 0 the rest too."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield
        return
    state = PartialState(cpu=on_cpu)
    if not state.is_main_process:
        logging.getLogger().setLevel(logging.WARNING)
    try:
        yield
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def is_main() -> bool:
    """Whether this process is the one that writes."""
    return not dist.is_initialized() or dist.get_rank() == 0


def wait_for_all() -> None:
    """Go on once every process has come here, so that none reads what rank 0 has not written yet."""
    if dist.is_initialized():
        dist.barrier()


def from_all(items: list[str]) -> list[str]:
    """The items of all processes, in the order of the ranks; every process must call this."""
    if num_ranks() == 1:
        return items
    found: list[list[str]] = [[] for _ in range(num_ranks())]
    dist.all_gather_object(found, items)
    return [item for part in found for item in part]


def share(batch_size: int, gradient_accumulation: int) -> int:
    """Examples that one process computes at a time, of a global batch.

    Raises:
        InputError: The batch cannot be divided evenly.
    """
    parts = num_ranks() * gradient_accumulation
    if batch_size % parts:
        raise InputError(
            f"batch_size is {batch_size}, which {num_ranks()} processes x {gradient_accumulation} accumulation steps "
            "cannot share evenly",
            where="setting batch_size",
            remedy=f"It is the batch of all processes together: choose a multiple of {parts}",
        )
    return batch_size // parts


def sharding(model: nn.Module) -> dict[str, Any]:
    """The Trainer's `fsdp_config`: each layer is sharded for itself, and all processes write checkpoints together."""
    layers = {name for part in model.children() for name in getattr(part, "_no_split_modules", None) or ()}
    found = sorted(layers & {type(module).__name__ for module in model.modules()})
    wrapping = {"transformer_layer_cls_to_wrap": found} if found else {"auto_wrap_policy": "NO_WRAP"}
    return {"state_dict_type": "SHARDED_STATE_DICT", **wrapping}


def shard_on_cpu(accelerator: Accelerator, arguments: TrainingArguments) -> None:
    """Tell an accelerator of CPU processes to use FSDP2, which works there over gloo."""
    plugin = FullyShardedDataParallelPlugin(**arguments.fsdp_plugin_args)
    if accelerator.mixed_precision != "no":
        plugin.set_mixed_precision(accelerator.mixed_precision)
    accelerator.state.distributed_type = DistributedType.FSDP
    accelerator.state.fsdp_plugin = plugin


@contextmanager
def unsharded(model: nn.Module) -> Iterator[None]:
    """Hold the weights outside of the layers whole, so that parts of a sharded model can be called by themselves.

    The layers gather their own weights as ever. All processes must do the same calls.
    """
    if not isinstance(model, FSDPModule):
        yield
        return
    model.unshard()
    try:
        yield
    finally:
        model.reshard()


def whole_state(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a model by name, put together from their shards; all processes must ask, and rank 0 gets them."""
    state: dict[str, Tensor] = {}
    for name, tensor in model.state_dict().items():
        whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
        if is_main():
            state[name] = whole.cpu()
    return state
