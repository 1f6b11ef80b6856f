"""Weights of a run in safetensors: each tensor once, however many names it goes by."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from semiparametric.errors import PairError

WEIGHTS = "model.safetensors"


def save_weights(
    model: nn.Module, path: Path, *, only: frozenset[str] | None = None, state: Mapping[str, Tensor] | None = None
) -> None:
    """Write parameters and buffers.

    Args:
        model: Says which names there are, and which of them mean the same tensor.
        path: The file.
        only: Names to keep; the rest comes from where the run started. None keeps all.
        state: The tensors, where the model itself holds only its shard of them.
    """
    tensors = model.state_dict() if state is None else state
    kept = {name: tensors[name].detach().cpu().contiguous() for name in _names(model, only) if name in tensors}
    safetensors.torch.save_file(kept, path)


def load_weights(model: nn.Module, path: Path, *, only: frozenset[str] | None = None) -> None:
    """Read what `save_weights` wrote.

    Raises:
        PairError: The file is not of this model.
    """
    tensors = safetensors.torch.load_file(path)
    outcome = model.load_state_dict(tensors, strict=False)
    lacking = [name for name, aliases in _names(model, only).items() if tensors.keys().isdisjoint(aliases)]
    wrong = [*lacking, *outcome.unexpected_keys]
    if wrong:
        raise PairError(
            f"its weights are not those of this run ({', '.join(wrong[:3])})",
            where=str(path),
            remedy="Start over with --restart",
        )


def _names(model: nn.Module, only: frozenset[str] | None) -> dict[str, list[str]]:
    """The first name of each tensor that is saved, with all its names."""
    saved = model.state_dict(keep_vars=True)
    aliases: dict[int, list[str]] = {}
    for name, tensor in saved.items():
        aliases.setdefault(id(tensor), []).append(name)
    return {names[0]: names for names in aliases.values() if only is None or not only.isdisjoint(names)}
