"""A file or a folder written beside its place and put there whole."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced_folder(out: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `out` at the end; after an error all is as it was.

    Two renames: a reader sees the old folder, for a moment none, or the new one, but never half of one. Files that
    their writer kept to its owner (safetensors does) may in the end be read by whoever may read the folder, since a
    service often runs as another user.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".partial", dir=out.parent))
    try:
        yield partial
        partial.chmod(0o755)
        for weights in partial.rglob("*.safetensors"):
            weights.chmod(0o644)
        old = partial.with_suffix(".old")
        if out.exists():
            out.rename(old)
        partial.rename(out)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Yield the place of a file that takes the place of `path` at the end; after an error `path` is as it was."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    with replaced_file(path) as partial:
        partial.write_text(text, "utf-8")
