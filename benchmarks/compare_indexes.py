"""Whether indexes of the same passages give the same results: engines and stores against a flat one of FAISS.

    python -m benchmarks.compare_indexes FLAT OTHER [OTHER ...]

Each query is the vector of an evenly chosen passage of the first index, disturbed by noise of half its length. Passages
are compared by id. Where two passages score alike to 1e-5, either order counts as the same.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semiparametric.store import Hit, Store

TOP_K = 10
NOISE = 0.5
TOLERANCE = 1e-5


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the ten nearest passages of indexes.")
    parser.add_argument("flat", type=Path, help="Folder of the index to compare with.")
    parser.add_argument("others", type=Path, nargs="+", help="Folders of the others.")
    parser.add_argument("--queries", type=int, default=100)
    given = parser.parse_args()
    with Store.open(given.flat) as flat:
        queries = disturbed(flat, given.queries)
        expected = flat.search(queries, TOP_K)
        for folder in given.others:
            with Store.open(folder) as other:
                found = other.search(queries, TOP_K)
                same = sum(same_results(flat, *pair, other) for pair in zip(expected, found, strict=True))
                print(f"{folder} ({other.manifest.store}, {other.manifest.index.index_type}): {same} of {len(queries)}")


def disturbed(store: Store, count: int) -> NDArray[np.float32]:
    """Vectors of evenly chosen passages with noise, `float32[count, d]`."""
    rows = store.live_rows()
    vectors = store.vectors(rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)])
    noise = np.random.default_rng(0).standard_normal(vectors.shape).astype(np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    return np.asarray(vectors + NOISE * lengths * noise, np.float32)


def same_results(flat: Store, expected: list[Hit], found: list[Hit], other: Store) -> bool:
    """Whether the same passages were found with the same scores, in the same order but for equal scores."""
    if len(expected) != len(found):
        return False
    scores = {flat.passage(hit.row).id: hit.score for hit in expected}
    last = expected[-1].score
    for place, hit in enumerate(found):
        score = scores.get(other.passage(hit.row).id, last)
        if max(abs(hit.score - score), abs(hit.score - expected[place].score)) > TOLERANCE * max(1.0, abs(score)):
            return False
    return True


if __name__ == "__main__":
    main()
