"""Writing the parts of a version's vectors."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiparametric.store.vectors import write_vectors


def write_delta(path: Path, vectors: NDArray[np.float32]) -> None:
    """Write the vectors of a delta, `float32[n, d]`: a flat index, which is exact and keeps them."""
    write_vectors(path, [vectors], "flat", {})
