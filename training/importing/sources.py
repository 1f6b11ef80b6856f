"""Where a checkpoint is: in a local folder, or on the Hugging Face hub."""

import re
from pathlib import Path

import httpx
from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from semiparametric.errors import PairError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_DESCRIPTION = ["*.json", "tokenizer.model", "vocab.txt", "merges.txt"]
_SAFETENSORS = ["model*.safetensors"]
_TORCH_FILES = ["pytorch_model*.bin"]


def checkpoint_folder(name: str, *, setting: str, weights: bool = True) -> Path:
    """The local folder of a checkpoint; from the hub it is fetched into the hub's cache.

    Args:
        name: A folder, or a hub name such as `owner/model`.
        setting: The option that named it, for messages.
        weights: Whether weights are wanted, or only what describes a tokenizer.

    Raises:
        PairError: It is neither a folder nor a hub name that can be reached.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or not _HUB_NAME.fullmatch(name):
        fault = "it is a file" if folder.exists() else "there is no such folder"
        raise PairError(
            f"{fault}, and {name!r} is not a hub name",
            where=setting,
            remedy="Name a folder with config.json and weights, or a hub name such as owner/model",
        )
    return _fetched(name, setting, weights)


def hub_commit(folder: Path) -> str | None:
    """The commit of a folder in the hub's cache; None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else None


def _fetched(name: str, setting: str, weights: bool) -> Path:
    try:
        folder = Path(snapshot_download(name, allow_patterns=_DESCRIPTION + (_SAFETENSORS if weights else [])))
        if weights and not any(folder.glob("model*.safetensors")):  # .bin is read only where there is nothing better
            folder = Path(snapshot_download(name, allow_patterns=_DESCRIPTION + _TORCH_FILES))
    except (OSError, HfHubHTTPError, HFValidationError, httpx.HTTPError) as error:
        raise PairError(
            f"there is no folder {name!r}, and from the hub it cannot be had: {_reason(error)}",
            where=setting,
            remedy=f"Download the checkpoint where the hub can be reached and name its local folder: {setting} FOLDER",
        ) from error
    return folder


def _reason(error: Exception) -> str:
    if isinstance(error, GatedRepoError):
        return "its owner grants access on request; ask on its page, then log in with `hf auth login`"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has no such model, or shows it only to those who are logged in"
    if isinstance(error, LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, and the hub's cache does not hold it"
    return str(error).split("\n", 1)[0].rstrip(".")
