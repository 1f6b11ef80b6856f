"""Searching indexes: what the store adds to faiss, and for each index type its recall, speed, size and opening time.

    python -m benchmarks.index --corpus CORPUS.jsonl.gz --processor-time
    python -m benchmarks.index --vectors 100000 --types flat,hnsw --processor-time
    python -m benchmarks.index --smoke           # does it run? (a test does this)

The vectors are synthetic, a seeded mixture of clusters; with `--corpus` it also measures how much of a full build's
encoding a rebuild takes. `index.md` has the last figures.
"""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter, process_time
from typing import Annotated, cast

import faiss
import numpy as np
import torch
import typer
from numpy.typing import NDArray

from benchmarks.decoding import machine, spread
from benchmarks.index_rebuild import Rebuilds, measure_rebuilds
from benchmarks.index_scene import Built, Scene, build, make_scene
from semiparametric.store import Store
from semiparametric.store.vectors import VectorIndex

LIBRARIES = ("faiss-cpu", "numpy", "torch")
TOP_K = 10
BATCHES = (1, 64)
TYPES = "flat,ivf-flat,ivf-sq8,ivf-pq"
SMOKE = {"vectors": 2000, "dimension": 16, "types": "flat,hnsw,ivf-flat,ivf-sq8,ivf-pq", "rounds": 2, "queries": 64}

Clock = Callable[[], float]
Search = Callable[[NDArray[np.float32]], object]


@dataclass
class Timings:
    """Seconds of each search; the same queries at the same place on the two sides that are compared."""

    exact: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)
    store: list[float] = field(default_factory=list)

    @property
    def overheads(self) -> list[float]:
        """What the store took more than faiss, in % of faiss, pair by pair."""
        return [100 * (store / raw - 1) for store, raw in zip(self.store, self.raw, strict=True)]

    @property
    def speed(self) -> float:
        """How many times as fast as exact search through a store of its own."""
        return median(self.exact) / median(self.store)


@dataclass(frozen=True)
class Figures:
    """One index type: how it was built, what it finds, and seconds by batch; opening unchecked and checked."""

    built: Built
    recall: float
    timings: dict[int, Timings]
    opening: tuple[list[float], float]


def main(
    vectors: Annotated[int, typer.Option(help="Vectors of each store.")] = 1_000_000,
    dimension: Annotated[int, typer.Option(help="Length of a vector.")] = 384,
    threads: Annotated[int, typer.Option(help="Threads of faiss and torch, for all sides.")] = 1,
    types: Annotated[
        str, typer.Option(help="Index types with commas, flat always among them; none at all if empty.")
    ] = TYPES,
    rounds: Annotated[int, typer.Option(help="Searches of each batch by exact search.")] = 7,
    queries: Annotated[int, typer.Option(help="Queries, not among the vectors.")] = 256,
    training_vectors: Annotated[int, typer.Option(help="Vectors that a type is trained on, at most.")] = 65_536,
    corpus: Annotated[Path | None, typer.Option(help="A corpus for the rebuild; none leaves it out.")] = None,
    pair: Annotated[Path, typer.Option(help="The pair that encodes it.")] = Path("models/nano"),
    work: Annotated[Path | None, typer.Option(help="Where the temporary folder goes.")] = None,
    processor_time: Annotated[
        bool, typer.Option(help="Time searches in processor time: for a crowded machine, with --threads 1.")
    ] = False,
    smoke: Annotated[bool, typer.Option(help="Few vectors: does it run?")] = False,
) -> None:
    """Measure and print the tables."""
    if smoke:
        vectors, dimension, types, rounds, queries = cast("tuple[int, int, str, int, int]", tuple(SMOKE.values()))
    faiss.omp_set_num_threads(threads)
    torch.set_num_threads(threads)
    clock = process_time if processor_time else perf_counter
    names = ["flat", *(name for name in types.split(",") if name != "flat")] if types else []
    with tempfile.TemporaryDirectory(dir=work) as folder:
        rebuilds = measure_rebuilds(pair, corpus, Path(folder), rounds=3, threads=threads) if corpus else None
        if rebuilds:
            typer.echo(f"{rebuild_line(rebuilds)}\n\n{machine(threads, LIBRARIES)}\n")
        if not names:
            return
        scene = make_scene(Path(folder), vectors, dimension, queries)
        figures = measure_types(scene, names, training_vectors, rounds, clock)
    typer.echo(f"\n{overhead_table(figures)}\n\n{types_table(figures)}\n")
    how = "processor time" if processor_time else "the clock"
    typer.echo(
        f"{vectors} vectors of {dimension} dimensions, trained on at most {training_vectors}; top {TOP_K}. Medians of "
        f"{rounds} exact searches and of 2 to 25 passes over {queries} queries, by {how}. {machine(threads, LIBRARIES)}"
    )


def measure_types(
    scene: Scene, names: Sequence[str], training_vectors: int, rounds: int, clock: Clock
) -> dict[str, Figures]:
    """Each type after the other, beside the exact store, which is the first and stays; the others leave the disk."""
    figures: dict[str, Figures] = {}
    exact: Store | None = None
    for name in names:
        built = build(scene, name, training_vectors)
        with built.opened() as store:
            exact = exact or built.opened()
            recall = recall_of(store, exact, scene.queries)  # brings the files' pages in
            search = {batch: fastest_exact(exact, scene.queries[:batch], clock) for batch in BATCHES}
            timings = {batch: measure(store, search[batch], scene.queries, batch, rounds, clock) for batch in BATCHES}
        figures[name] = Figures(built, recall, timings, opening(built, 5))
        typer.echo(
            "\n".join([*overhead_rows(name, figures[name]), f"| {name} | {type_row(figures[name])} |"]), err=True
        )
        if name != "flat":
            shutil.rmtree(built.folder)
    if exact:
        exact.close()
    return figures


def measure(
    store: Store, exact: Search, queries: NDArray[np.float32], batch: int, rounds: int, clock: Clock
) -> Timings:
    """Exact search, then faiss and the store in turn, which change their order and repeat where they are fast.

    Both search every block of queries, but each time half of the others lie between: who asked right after the other
    would find the lists and the vectors of these queries in the processor's caches.
    """
    blocks = [queries[start : start + batch] for start in range(0, len(queries) - batch + 1, batch)]
    raw = faiss_search(store)
    fast = seconds(lambda block: store.search(block, TOP_K), blocks[0], clock)
    passes = min(25, max(2, int(2.0 / max(fast * len(blocks), 1e-6))))
    timings = Timings([seconds(exact, blocks[number % len(blocks)], clock) for number in range(rounds)])
    for _ in range(passes):
        of_store, of_faiss = [0.0] * len(blocks), [0.0] * len(blocks)
        for here in range(len(blocks)):
            there = (here + len(blocks) // 2) % len(blocks)
            sides: list[tuple[Search, int, list[float]]] = [
                (raw, here, of_faiss),
                (lambda block: store.search(block, TOP_K), there, of_store),
            ]
            for search, block, into in sides[:: -1 if here % 2 else 1]:
                into[block] = seconds(search, blocks[block], clock)
        timings.raw += of_faiss
        timings.store += of_store
    return timings


def fastest_exact(exact: Store, block: NDArray[np.float32], clock: Clock) -> Search:
    """Exact search in the way that is the faster one for such a batch: query by query, or as products of matrices.

    Up to a threshold faiss goes query by query, which reads all vectors for each of them.
    """
    usual = faiss.cvar.distance_compute_blas_threshold

    def products(block: NDArray[np.float32]) -> object:
        faiss.cvar.distance_compute_blas_threshold = 0
        try:
            return exact.search(block, TOP_K)
        finally:
            faiss.cvar.distance_compute_blas_threshold = usual

    def one_by_one(block: NDArray[np.float32]) -> object:
        return exact.search(block, TOP_K)

    one_by_one(block)  # brings the file's pages in
    return min((one_by_one, products), key=lambda search: seconds(search, block, clock))


def faiss_search(store: Store) -> Search:
    """The search of the very index that the store has open, with the store's parameters.

    Where the store compares what a lossy index found again with the vectors kept beside it, faiss does so too: its
    `IndexRefineFlat` over that index, with a copy of the vectors in memory.
    """
    part = cast(VectorIndex, store.parts[0])
    index, parameters = part._index, part._parameters
    if part._rescore > 1:
        index = faiss.IndexRefineFlat(index, faiss.swig_ptr(part._exact))
        parameters = faiss.IndexRefineSearchParameters(k_factor=part._rescore, base_index_params=parameters)
    return lambda block: index.search(block, TOP_K, params=parameters)


def seconds(search: Search, block: NDArray[np.float32], clock: Clock) -> float:
    """What one search takes."""
    started = clock()
    search(block)
    return clock() - started


def recall_of(store: Store, exact: Store, queries: NDArray[np.float32]) -> float:
    """The share of the ten that exact search finds for each query."""
    found, expected = store.search(queries, TOP_K), exact.search(queries, TOP_K)
    shared = [
        len({hit.row for hit in ours} & {hit.row for hit in all_}) for ours, all_ in zip(found, expected, strict=True)
    ]
    return sum(shared) / (len(queries) * TOP_K)


def opening(built: Built, times: int) -> tuple[list[float], float]:
    """Seconds on the clock of opening a store some times unchecked, and once checked; its files are in memory."""
    unchecked = []
    for check in [False] * times + [True]:
        started = perf_counter()
        Store.open(built.folder, check=check).close()
        unchecked.append(perf_counter() - started)
    return unchecked[:-1], unchecked[-1]


def overhead_table(figures: dict[str, Figures]) -> str:
    """The store's search beside faiss's."""
    lines = [
        "| type | batch | faiss, ms | store, ms | the store adds | middle half of pairs |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(row for name, each in figures.items() for row in overhead_rows(name, each))])


def overhead_rows(name: str, figures: Figures) -> list[str]:
    """A line for each batch."""
    rows = []
    for batch, timings in figures.timings.items():
        raw, store = 1000 * median(timings.raw), 1000 * median(timings.store)
        low, _, high = quantiles(timings.overheads, n=4)
        added = f"{100 * (store / raw - 1):+.1f} %"
        rows.append(f"| {name} | {batch} | {raw:.3f} | {store:.3f} | {added} | {low:+.1f} to {high:+.1f} % |")
    return rows


def types_table(figures: dict[str, Figures]) -> str:
    """What each type finds, how fast, and what it takes."""
    return "\n".join(
        [
            "| type | setting | recall@10 on its sample | on new queries | faster than exact, batch 1 | batch 64 | "
            "bytes per vector: index | with kept vectors | build, s | open, s | open checked, s |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
            *(f"| {name} | {type_row(each)} |" for name, each in figures.items()),
        ]
    )


def type_row(figures: Figures) -> str:
    """The cells of a type but its name."""
    index, built = figures.built.index, figures.built
    numbers = ", ".join(f"{name} {value}" for name, value in index.index_parameters.items())
    opened, checked = figures.opening
    kept = built.file_bytes / built.count
    speeds = " | ".join(f"{timings.speed:.1f}x" for timings in figures.timings.values())
    return (
        f"{numbers} | {index.recall_at_10:.3f} | {figures.recall:.3f} | {speeds} | {index.bytes_per_vector:.0f} | "
        f"{kept:.0f} | {built.seconds:.0f} | {median(opened):.3f} | {checked:.1f}"
    )


def rebuild_line(rebuilds: Rebuilds) -> str:
    """The rebuild in one sentence."""
    return (
        f"Of {rebuilds.passages} passages {rebuilds.changed} changed: the rebuild's encoding took "
        f"{spread([100 * share for share in rebuilds.shares])} % of the full build's {rebuilds.full:.1f} s "
        f"({spread(rebuilds.rebuilds)} s; target 5 %)."
    )


if __name__ == "__main__":
    typer.run(main)
