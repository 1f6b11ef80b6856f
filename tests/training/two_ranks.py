"""Steps of two processes on batches of their own, for `test_gather`: what they end with is written to a folder."""

import copy
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from tests.training.random_batches import random_batch, random_model
from training import grad_cache
from training.gather import Gather
from training.loss import IGNORED
from training.model import CoSupervisedModel

Batch = dict[str, Any]
Wrapper = Literal["ddp", "fsdp"]

# Name of a case: batches, gather, wrapper, rows of a chunk (none: one pass).
CASES: dict[str, tuple[str, Gather, Wrapper, int | None]] = {
    "all": ("uneven", "all", "ddp", None),
    "all-chunks": ("uneven", "all", "ddp", 2),
    "sequences": ("uneven", "sequences", "ddp", None),
    "sequences-chunks": ("uneven", "sequences", "ddp", 2),
    "none": ("uneven", "none", "ddp", None),
    "one-without-lookups": ("without", "all", "ddp", None),
    "one-without-lookups-chunks": ("without", "all", "ddp", 3),
    "fsdp": ("uneven", "all", "fsdp", None),
    "fsdp-chunks": ("without", "all", "fsdp", 2),
}


def batches(kind: str) -> list[Batch]:
    """The batches of two ranks: different numbers of rows, tokens and passages, and one passage that both have."""
    first, second = random_batch(7, 5, seed=1), random_batch(5, 3, seed=2)
    if kind == "without":
        empty = torch.empty(0, dtype=torch.long)
        second["groups"] = [group | {"rets": empty} for group in second["groups"][:1]]
        return [first, second | {"passages": [], "targets": empty, "sequence_keys": empty}]
    second["groups"][0]["labels"][:] = IGNORED
    for name in ("ids", "mask"):
        second["passages"][0][name][0] = first["passages"][0][name][1]
    second["sequence_keys"][0] = first["sequence_keys"][1]
    second["targets"][:2] = torch.tensor([0, 2])
    return [first, second]


def run(rank: int, folder: Path) -> None:
    """One rank: all cases, one after the other."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder / 'meet'}", rank=rank, world_size=2, timeout=timedelta(seconds=200)
    )
    for name, (kind, gather, wrapper, rows) in CASES.items():
        model = random_model()
        model.gather = gather
        terms = step(wrapped(model, wrapper), copy.deepcopy(batches(kind)[rank]), rows)
        found = {f"term.{key}": value.detach().reshape(1) for key, value in terms.items()} | gradients(model)
        save_file(found, folder / f"{name}-{rank}.safetensors")
    dist.destroy_process_group()


def wrapped(model: CoSupervisedModel, wrapper: Wrapper) -> nn.Module:
    """As a run wraps it: DDP, or each layer sharded for itself."""
    if wrapper == "ddp":
        return DistributedDataParallel(model)
    for layer in [module for module in model.modules() if isinstance(module, LlamaDecoderLayer)]:
        fully_shard(layer)
    fully_shard(model)
    return model


def step(model: nn.Module, batch: Batch, rows: int | None) -> dict[str, torch.Tensor]:
    """Gradients of one step; its terms."""
    if rows is not None:
        return grad_cache.backward(model, batch, chunk_rows=rows)
    terms: dict[str, torch.Tensor] = model(batch)
    terms["loss"].backward()
    return terms


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    """Whole gradients by name."""
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return {name: (grad.full_tensor() if isinstance(grad, DTensor) else grad).clone() for name, grad in found.items()}
