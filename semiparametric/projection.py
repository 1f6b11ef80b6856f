"""`projection.safetensors`: what takes a model's states into the sequence space, where its hidden size is another."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from semiparametric.errors import PairError
from semiparametric.spec import PairSpec

FILE = "projection.safetensors"

Side = Literal["query", "sequence"]


def read_projection(pair: Path, spec: PairSpec, side: Side, config: Any) -> Tensor | None:
    """The matrix `float32[d, hidden]` of one side of a pair; None where the pair uses its states as they are.

    Args:
        pair: The pair's folder.
        spec: What its `pair.json` says.
        side: `query`: the model that looks up, Gen or the query encoder; `sequence`: the one that encodes passages.
        config: That model's configuration, which has its hidden size.

    Raises:
        PairError: The file is missing, damaged or other than the spec says, or the hidden size does not fit.
    """
    weights = _read(pair, spec)
    check_width(config, spec, weights.get(f"{side}.weight"), where=str(pair))
    return weights.get(f"{side}.weight")


def write_projection(pair: Path, projection: Mapping[str, Tensor]) -> None:
    """Write the matrices, in float32; no file where there is none."""
    if projection:
        weights = {key: weight.detach().float().cpu().contiguous() for key, weight in projection.items()}
        save_file(weights, pair / FILE)


def check_keys(keys: Collection[str], spec: PairSpec, *, where: str) -> None:
    """Refuse matrices other than those that the spec names.

    Raises:
        PairError: One is missing, or one too many is there.
    """
    wanted = spec.projection.keys if spec.projection else set()
    if set(keys) != wanted:
        raise PairError(
            f"it holds {_listed(keys)}, the pair's spec names {_listed(wanted)}",
            where=where,
            remedy="Save spec and projection together",
        )


def check_width(config: Any, spec: PairSpec, weight: Tensor | None, *, where: str) -> None:
    """Refuse a model whose states do not become vectors of the pair's dimension.

    Raises:
        PairError: Its hidden size is another and it has no matrix, or one of another shape.
    """
    hidden: int = config.get_text_config().hidden_size
    if weight is None:
        if hidden != spec.dimension:
            raise PairError(
                f"its states have {hidden} dimensions, the pair has {spec.dimension} and no projection for them",
                where=where,
                remedy="Give it a projection, or models of one hidden size",
            )
    elif tuple(weight.shape) != (spec.dimension, hidden):
        raise PairError(
            f"its projection has the shape {list(weight.shape)}, its states need {[spec.dimension, hidden]}",
            where=where,
            remedy="Its files come from different pairs: train or copy it again as a whole",
        )


def _read(pair: Path, spec: PairSpec) -> dict[str, Tensor]:
    if spec.projection is None:
        return {}
    path = pair / FILE
    if not path.is_file():
        raise PairError(f"the pair has no {FILE}", where=str(pair), remedy="Copy the pair again as a whole")
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise PairError(f"cannot be loaded ({error})", where=str(path)) from error
    check_keys(weights, spec, where=str(path))
    if not all(bool(torch.isfinite(weight).all()) for weight in weights.values()):
        raise PairError("it holds NaN or infinity", where=str(path))
    return {key: weight.float() for key, weight in weights.items()}


def _listed(keys: Collection[str]) -> str:
    return " and ".join(sorted(keys)) or "no projection"
