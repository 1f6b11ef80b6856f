"""Docstrings of compiled standard modules, which have no source to parse: a child process imports and inspects them."""

import json
import logging
import subprocess
import sys
from pathlib import Path

from index_builder.python_docs.sources import Documented, ModuleDocs

logger = logging.getLogger(__name__)

CHILD = Path(__file__).with_name("inspect_child.py")


def inspect_module(name: str, timeout_seconds: float) -> ModuleDocs | None:
    """Return the documentation of one compiled module, or None (logged) when it cannot be imported in time."""
    command = [sys.executable, "-I", str(CHILD), name]
    try:
        done = subprocess.run(  # noqa: S603 - our own script, and a name from sys.stdlib_module_names
            command, capture_output=True, text=True, encoding="utf-8", timeout=timeout_seconds, check=True
        )
    except subprocess.TimeoutExpired:
        logger.warning("compiled module %s left out: not inspected within %g seconds", name, timeout_seconds)
        return None
    except subprocess.CalledProcessError as error:
        reason = (error.stderr or "").strip().rsplit("\n", 1)[-1]
        logger.warning("compiled module %s left out: %s", name, reason or f"exit code {error.returncode}")
        return None
    docs = ModuleDocs(name)
    for row in json.loads(done.stdout):
        documented = Documented(source=f"{name} (compiled module)", **row)
        docs.documented[documented.path] = documented
    return docs
