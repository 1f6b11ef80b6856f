"""Two checkpoints become one pair."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from semiparametric.errors import PairError
from semiparametric.pair import fingerprint
from semiparametric.replacing import replaced_folder
from semiparametric.spec import PairSpec, PassageForm
from training.importing.checkpoint import Checkpoint, read_checkpoint
from training.importing.settings import ImportSettings
from training.importing.sources import checkpoint_folder, hub_commit
from training.importing.tokens import check_same_vocabulary, control_tokens, make_special, set_padding
from training.importing.weights import write_weights

logger = logging.getLogger(__name__)


def import_pair(settings: ImportSettings) -> PairSpec:
    """Write the pair of two checkpoints; all checks come before the first weight is read.

    Raises:
        PairError: A checkpoint cannot be reached or read, the two do not fit, or `out` must not be replaced.
    """
    _check_out(settings.out)
    gen, embseq = _checkpoints(settings)
    spec = _spec(settings, gen, embseq)
    dtype = getattr(torch, settings.dtype) if settings.dtype else None
    with _replaced(settings.out, needed=_bytes_needed(dtype, gen, embseq)) as partial:
        for checkpoint in (gen, embseq):
            _write(checkpoint, partial / checkpoint.role, dtype)
        spec = spec.model_copy(update={"fingerprint": fingerprint(partial / "embseq", spec)})
        (partial / "pair.json").write_text(json.dumps(spec.model_dump(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    return spec


def _check_out(out: Path) -> None:
    if out.exists() and not (out / "pair.json").is_file() and (not out.is_dir() or any(out.iterdir())):
        raise PairError("it exists and is not a pair", where=str(out), remedy="Choose an empty or new folder")


def _checkpoints(settings: ImportSettings) -> tuple[Checkpoint, Checkpoint]:
    tokenizer = None
    if settings.tokenizer:
        tokenizer = checkpoint_folder(settings.tokenizer, setting="--tokenizer", weights=False)
    folders = {role: checkpoint_folder(getattr(settings, role), setting=f"--{role}") for role in ("gen", "embseq")}
    gen = read_checkpoint("gen", folders["gen"], tokenizer or folders["gen"])
    embseq = read_checkpoint("embseq", folders["embseq"], tokenizer or folders["embseq"])
    if gen.hidden_size != embseq.hidden_size:
        raise PairError(
            f"Gen has hidden size {gen.hidden_size}, Embseq {embseq.hidden_size}",
            remedy="Name two checkpoints that were trained together: their states are compared as they are",
        )
    if (gen.config.model_type, gen.rows) == (embseq.config.model_type, embseq.rows):
        check_same_vocabulary(gen.tokenizer, embseq.tokenizer)
    return gen, embseq


def _spec(settings: ImportSettings, gen: Checkpoint, embseq: Checkpoint) -> PairSpec:
    needs_pad = settings.pooling == "last_position"
    control = control_tokens(gen.tokenizer, gen.rows, needs_pad=needs_pad, where=str(gen.folder))
    make_special(embseq.tokenizer, where=str(embseq.folder))
    if needs_pad:
        set_padding(embseq.tokenizer, where=str(embseq.folder))
        set_padding(gen.tokenizer, where=str(gen.folder))
    limit = getattr(embseq.config.get_text_config(), "max_position_embeddings", None)
    if limit is not None and settings.passage_max_tokens > limit:
        raise PairError(
            f"{settings.passage_max_tokens} is more than the {limit} positions of Embseq",
            where="--passage-max-tokens",
            remedy="Choose fewer tokens",
        )
    origin = {role: _origin(getattr(settings, role), part) for role, part in (("gen", gen), ("embseq", embseq))}
    return PairSpec(
        control=control,
        passage=PassageForm(template=settings.passage_template, max_tokens=settings.passage_max_tokens),
        pooling=settings.pooling,
        dimension=gen.hidden_size,
        training={"imported": origin},
    )


def _origin(name: str, checkpoint: Checkpoint) -> dict[str, Any]:
    commit = hub_commit(checkpoint.folder)
    return {"name": name} | ({"commit": commit} if commit else {})


def _bytes_needed(dtype: torch.dtype | None, *checkpoints: Checkpoint) -> int:
    if dtype is not None:
        return sum(checkpoint.weights.num_parameters for checkpoint in checkpoints) * dtype.itemsize
    files = {part.path for checkpoint in checkpoints for part in checkpoint.weights.parts}
    return sum(file.stat().st_size for file in files)


def _write(checkpoint: Checkpoint, folder: Path, dtype: torch.dtype | None) -> None:
    folder.mkdir()
    checkpoint.config.dtype = write_weights(checkpoint.weights, folder, dtype)
    checkpoint.config.save_pretrained(folder)
    checkpoint.tokenizer.save_pretrained(folder)


@contextmanager
def _replaced(out: Path, *, needed: int) -> Iterator[Path]:
    """A folder beside `out` that takes its place at the end; after an error all is as it was."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out.parent).free
        if free < needed:
            raise PairError(
                f"the pair needs {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free",
                where=str(out),
                remedy="Free some, choose another disk, or save half as much with --dtype bfloat16",
            )
        with replaced_folder(out) as partial:
            yield partial
    except OSError as error:
        raise PairError(f"it cannot be written ({error.strerror or error})", where=str(out)) from error
