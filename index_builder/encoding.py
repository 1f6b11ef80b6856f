"""Passages to sequence embeddings, shard by shard, with a progress bar."""

import logging
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from index_builder.shards import Shards
from semiparametric.embedding import embed_passages
from semiparametric.errors import InputError
from semiparametric.pair import load_embseq
from semiparametric.store.passages import PassageTable

logger = logging.getLogger(__name__)


def encode(
    shards: Shards,
    passages: PassageTable,
    *,
    pair: Path,
    device: str,
    batch_tokens: int,
    dimension: int | None = None,
) -> None:
    """Make the shards that are missing.

    Args:
        shards: Where vectors are kept.
        passages: The passages by row.
        pair: Folder of the pair; Embseq is loaded only if there is something to encode.
        device: Where Embseq runs.
        batch_tokens: Tokens encoded at once.
        dimension: Leading dimensions to keep; None keeps all.
    """
    missing = shards.missing()
    if len(missing) < len(shards):
        logger.info("resuming: %d of %d shards are there", len(shards) - len(missing), len(shards))
    if not missing:
        return
    embseq = load_embseq(pair, device=device)
    done = len(passages) - sum(len(shards.rows(number)) for number in missing)
    with _progress() as progress:
        task = progress.add_task("encoding passages", total=len(passages), completed=done)
        for number in missing:
            rows = shards.rows(number)
            vectors = embed_passages(
                embseq,
                passages.slice(rows.start, rows.stop),
                batch_tokens=batch_tokens,
                dimension=dimension,
                on_batch=lambda count: progress.advance(task, count),
            )
            shards.write(number, vectors)


def check_device(device: str) -> str:
    """The device as vectors depend on it, with its threads.

    Raises:
        InputError: It is not the name of a device that is here.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        first_line = str(error).splitlines()[0]
        raise InputError(f"{device!r} cannot be used: {first_line}", where="--device", remedy="Try cpu") from error
    return f"{device}, {torch.get_num_threads()} threads"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Passages per second over the last while."""
        return Text(f"{task.speed:.0f} passages/s" if task.speed else "")


def _progress() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True))
