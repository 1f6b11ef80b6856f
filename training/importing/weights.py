"""Weights of a checkpoint into safetensors, a part of about a gigabyte after another, and never a whole model."""

import json
import logging
import math
from collections.abc import Collection, Iterator
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


PART_BYTES = 1_000_000_000  # of one written file, in float32; twice as many are in memory while it is written


@dataclass(frozen=True)
class Part:
    """What one written file takes from a weight file: each tensor's name there and its name in the model."""

    path: Path
    names: dict[str, str]


@dataclass(frozen=True)
class WeightPlan:
    """Where all weights of one model come from."""

    parts: list[Part]
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
    parts, strange, shapes = list[Part](), list[str](), dict[str, Shape]()
    for path in find_shards(folder):
        names = dict[str, str]()
        for name, shape in shapes_of(path).items():
            ours = _place(name, expected, f"{model.base_model_prefix}.")
            if ours is not None and ours not in tied:
                names[name] = ours
                shapes[ours] = shape
            elif ours is None and not _is_left_out(name, has_head):
                strange.append(name)
        parts += _parts(path, names, shapes)
    missing = [name for name in expected if name not in shapes and name not in tied and "pooler." not in name]
    _check(folder, missing, strange, has_head)
    _check_shapes(folder, shapes, expected)
    return WeightPlan(parts, sum(map(math.prod, shapes.values())))


def write_weights(plan: WeightPlan, out: Path, dtype: torch.dtype | None) -> torch.dtype:
    """Write a plan's weights as safetensors, one file for each part, and return the type of their numbers.

    Args:
        plan: From `plan_weights`.
        out: The model's folder, which exists.
        dtype: The type to convert to; None keeps that of the checkpoint.

    Raises:
        PairError: A weight is not a finite number (in that type).
    """
    weight_map: dict[str, str] = {}
    found: list[torch.dtype] = []
    count = len(plan.parts)
    for number, part in enumerate(plan.parts, 1):
        file = "model.safetensors" if count == 1 else f"model-{number:05}-of-{count:05}.safetensors"
        logger.info("%s -> %s/%s", part.path, out.name, file)
        found += _write_part(part, out / file, dtype)
        weight_map |= dict.fromkeys(part.names.values(), file)
    if count > 1:
        index = {"metadata": {"total_parameters": plan.num_parameters}, "weight_map": dict(sorted(weight_map.items()))}
        (out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", "utf-8")
    return next((each for each in found if each.is_floating_point), torch.float32)


def _write_part(part: Part, file: Path, dtype: torch.dtype | None) -> list[torch.dtype]:
    """Write one file; a function of its own, so that its tensors are gone before those of the next are read."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in tensors_of(part.path, part.names):
        converted = _converted(tensor, dtype)
        if not converted.isfinite().all():
            _refuse_infinite(part.names[name], converted, part.path)
        tensors[part.names[name]] = converted
    save_file(tensors, file, metadata={"format": "pt"})
    return [tensor.dtype for tensor in tensors.values()]


def _converted(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A copy of its own, for safetensors refuses tensors that share memory, and a mapped file is closed again."""
    wanted = dtype if dtype and tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to(wanted, copy=True, memory_format=torch.contiguous_format)


def _parts(path: Path, names: dict[str, str], shapes: dict[str, Shape]) -> Iterator[Part]:
    """The weights of one file in parts of at most `PART_BYTES`, or of one weight that is larger."""
    part, size = dict[str, str](), 0
    for name, ours in names.items():
        needed = math.prod(shapes[ours]) * 4
        if part and size + needed > PART_BYTES:
            yield Part(path, part)
            part, size = {}, 0
        part[name] = ours
        size += needed
    if part:
        yield Part(path, part)


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
