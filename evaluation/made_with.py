"""What a report was made with: versions and the machine, so that figures can be checked elsewhere."""

import os
from importlib.metadata import PackageNotFoundError, version
from platform import machine, python_version

_LIBRARIES = ("cosup", "torch", "transformers", "faiss-cpu", "faiss-gpu", "bm25s", "sentence-transformers")


def made_with() -> dict[str, str]:
    """Versions of Python and of the libraries that are installed, and the machine."""
    found = {"Python": python_version(), "machine": f"{machine()} with {os.cpu_count()} processors"}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # one of the two faiss packages is never there
            continue
    return found
