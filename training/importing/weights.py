"""Weights of a checkpoint, shard by shard into safetensors: never more than one shard in memory, and no model."""

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from semiparametric.errors import PairError
from training.importing.shards import find_shards, shapes_of, tensors_of

logger = logging.getLogger(__name__)

Shape = tuple[int, ...]

_HEADS = ("lm_head.", "cls.", "pooler.")  # Embseq is used without them
_BUFFERS = ("rotary_emb.inv_freq", ".masked_bias", ".attn.bias", "position_ids")  # computed, not learnt; once saved


@dataclass(frozen=True)
class ShardPlan:
    """What to take from one weight file: each tensor's name there and its name in the model."""

    path: Path
    names: dict[str, str]


@dataclass(frozen=True)
class WeightPlan:
    """Where all weights of one model come from."""

    shards: list[ShardPlan]
    num_parameters: int


def skeleton(auto: Any, config: Any) -> nn.Module:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return auto.from_config(config, trust_remote_code=False)  # type: ignore[no-any-return]


def plan_weights(folder: Path, model: Any) -> WeightPlan:
    """Find every weight of a model in a checkpoint, by looking at names and shapes only.

    Args:
        folder: The checkpoint.
        model: Its `skeleton`: a causal language model, or one without a head, for which a head's weights are left out.

    Raises:
        PairError: Weights are missing, have other shapes than config.json says, or have no place in the model.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    tied = set(getattr(model, "all_tied_weights_keys", None) or {})
    has_head = model.get_output_embeddings() is not None
    shards, strange, shapes = [], [], dict[str, Shape]()
    for path in find_shards(folder):
        names = {}
        for name, shape in shapes_of(path).items():
            ours = _place(name, expected, f"{model.base_model_prefix}.")
            if ours is not None and ours not in tied:
                names[name] = ours
                shapes[ours] = shape
            elif ours is None and not _is_left_out(name, has_head):
                strange.append(name)
        shards.append(ShardPlan(path, names))
    missing = [name for name in expected if name not in shapes and name not in tied and "pooler." not in name]
    _check(folder, missing, strange, has_head)
    _check_shapes(folder, shapes, expected)
    return WeightPlan(shards, sum(torch.Size(shape).numel() for shape in shapes.values()))


def write_weights(plan: WeightPlan, out: Path, dtype: torch.dtype | None) -> torch.dtype:
    """Write a plan's weights as safetensors, one file for each shard, and return the type of their numbers.

    Args:
        plan: From `plan_weights`.
        out: The model's folder, which exists.
        dtype: The type to convert to; None keeps that of the checkpoint.

    Raises:
        PairError: A weight is not a finite number (in that type).
    """
    weight_map: dict[str, str] = {}
    written = dtype
    used = [shard for shard in plan.shards if shard.names]
    for number, shard in enumerate(used, 1):
        file = "model.safetensors" if len(used) == 1 else f"model-{number:05}-of-{len(used):05}.safetensors"
        logger.info("%s -> %s", shard.path, out.name + "/" + file)
        tensors = {shard.names[name]: _converted(tensor, dtype) for name, tensor in tensors_of(shard.path, shard.names)}
        for name, tensor in tensors.items():
            if not tensor.isfinite().all():
                _refuse_infinite(name, tensor, shard.path)
        save_file(tensors, out / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(tensors, file)
        written = written or next(tensor.dtype for tensor in tensors.values() if tensor.is_floating_point())
    if len(used) > 1:
        index = {"metadata": {"total_parameters": plan.num_parameters}, "weight_map": dict(sorted(weight_map.items()))}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", "utf-8")
    return written or torch.float32


def _converted(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A copy of its own, for safetensors refuses tensors that share memory, and a mapped file is closed again."""
    wanted = dtype if dtype and tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(wanted, copy=True, memory_format=torch.contiguous_format)


def _place(name: str, expected: Collection[str], prefix: str) -> str | None:
    """A weight's name in the model: checkpoints with a head have the base model's prefix, those without do not."""
    candidates = (name, name.removeprefix(prefix), prefix + name)
    return next((candidate for candidate in candidates if candidate in expected), None)


def _is_left_out(name: str, has_head: bool) -> bool:
    return name.endswith(_BUFFERS) or (not has_head and name.startswith(_HEADS))


def _check(folder: Path, missing: list[str], strange: list[str], has_head: bool) -> None:
    if has_head and missing == ["lm_head.weight"]:
        raise PairError(
            "it is not a causal language model: its weights have no lm_head",
            where=str(folder),
            remedy="Gen needs one; name the checkpoint of Gen, not that of Embseq",
        )
    if missing or strange:
        faults = [f"lack {_some(missing)}"] if missing else []
        faults += [f"hold {_some(strange)}, for which its config.json has no place"] if strange else []
        raise PairError(
            f"its weights {' and '.join(faults)}",
            where=str(folder),
            remedy="Weights and config.json must be of one checkpoint; download or copy it again as a whole",
        )


def _check_shapes(folder: Path, shapes: dict[str, Shape], expected: dict[str, Shape]) -> None:
    for name, shape in shapes.items():
        if shape != expected[name]:
            raise PairError(
                f"{name} is {list(shape)} in its weights and {list(expected[name])} by its config.json",
                where=str(folder),
                remedy="Weights and config.json must be of one checkpoint",
            )


def _refuse_infinite(name: str, tensor: Tensor, path: Path) -> None:
    told = str(tensor.dtype).removeprefix("torch.")
    remedy = "Its greatest numbers need --dtype bfloat16 or float32" if told == "float16" else "The file is damaged"
    raise PairError(f"{name} holds numbers that are not finite in {told}", where=str(path), remedy=remedy)


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
