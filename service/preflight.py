"""What can be known to be wrong before a model is loaded, all of it at once."""

import math
import re
import socket
from collections.abc import Sequence
from pathlib import Path

import torch

from semiparametric.errors import CosupError, InputError
from semiparametric.pair import read_spec
from semiparametric.spec import PairSpec
from semiparametric.store import Manifest, manifest_of
from service.index_folders import refuse_doubles, served_name
from service.keys.key_file import read_keys
from service.settings import ModelSettings, ServeSettings


def check_models(settings: ModelSettings) -> None:
    """Look at what is small: `pair.json`, the manifest, the device's name.

    Raises:
        InputError: Names every problem found.
    """
    _raise_together(_model_problems(settings))


def check_and_bind(settings: ServeSettings) -> socket.socket:
    """Check as `check_models` does and take the address; the socket does not listen yet.

    A client that reads nothing for `timeout_s` seconds loses its connection, and what was written for it is forgotten.

    Raises:
        InputError: Names every problem found.
    """
    problems = _model_problems(settings) + _key_problems(settings.keys)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # asyncio turns Nagle's delay off where a socket is called TCP; else each response waits 40 ms for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. uvicorn has no limit for a whole response that waits to be read.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, math.ceil(1000 * settings.timeout_s))
        listener.bind((settings.host, settings.port))
    except OSError as error:
        reason = f"{settings.host}, port {settings.port}: {error.strerror or error}"
        problems.append(f"{reason}. Choose another --host or --port; --port 0 takes a free one")
    if problems:
        listener.close()
    _raise_together(problems)
    return listener


def _model_problems(settings: ModelSettings) -> list[str]:
    problems: list[str] = []
    spec = None
    try:
        spec = read_spec(settings.pair)
    except CosupError as error:
        problems.append(str(error))
    names: list[str] = []
    for index in settings.index:
        try:
            manifest = manifest_of(index.folder)
            names.append(served_name(index, manifest.name))
            if spec is not None:
                _refuse_mismatch(index.folder, manifest, settings.pair, spec)
        except CosupError as error:
            problems.append(str(error))
    return problems + _doubles(names) + _device_problems(settings.device)


def _doubles(names: Sequence[str]) -> list[str]:
    try:
        refuse_doubles(names)
    except InputError as error:
        return [str(error)]
    return []


def _refuse_mismatch(index: Path, manifest: Manifest, pair: Path, spec: PairSpec) -> None:
    if spec.fingerprint != manifest.fingerprint:
        raise InputError(
            f"its vectors were made by another pair than {pair}",
            where=str(index),
            remedy="Serve it with its own pair, or build it again with this one (`cosup index build`)",
        )
    try:
        spec.served_dimension(manifest.index.dimension)
    except InputError as error:
        remedy = "Build it again with this pair (`cosup index build`)"
        raise InputError(error.message, where=str(index), remedy=remedy) from error


def _key_problems(keys: Path | None) -> list[str]:
    try:
        if keys is not None:
            read_keys(keys)
    except InputError as error:
        return [str(error)]
    return []


def _device_problems(device: str) -> list[str]:
    name = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if name is None:
        return [f"device {device!r} is none of cpu, cuda and cuda:<number>"]
    if device != "cpu" and int(name[1] or 0) >= torch.cuda.device_count():
        return [f"device {device!r} is not there: PyTorch sees {torch.cuda.device_count()} CUDA devices. Use cpu"]
    return []


def _raise_together(problems: list[str]) -> None:
    if problems:
        raise InputError("; ".join(problems))
