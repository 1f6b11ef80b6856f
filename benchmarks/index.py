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
    """Seconds of each search, of the same queries on each side in turn."""

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
    rounds: Annotated[int, typer.Option(help="Searches of each batch by exact search; others have more.")] = 7,
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
        f"{rounds} exact searches and of up to 25 times as many pairs, by {how}. {machine(threads, LIBRARIES)}"
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
            search = {batch: fastest_exact(exact, scene.queries[:batch], clock) for batch in BATCHES}
            timings = {batch: measure(store, search[batch], scene.queries, batch, rounds, clock) for batch in BATCHES}
            recall = recall_of(store, exact, scene.queries)
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
    """Exact search, faiss and the store in turn; the last two change their order, and repeat where they are fast."""
    timings, raw = Timings(), faiss_search(store)
    blocks = [np.take(queries, range(start, start + batch), axis=0, mode="wrap") for start in range(0, 997, batch)]
    fast = seconds(lambda block: store.search(block, TOP_K), blocks[0], clock)
    repeats = min(25, max(1, int(1.0 / max(fast, 1e-6))))
    taken = 0
    for _ in range(rounds):
        block = blocks[taken % len(blocks)]
        timings.exact.append(seconds(exact, block, clock))
        for _ in range(repeats):
            block, first = blocks[taken % len(blocks)], taken % 2
            sides: list[tuple[Search, list[float]]] = [
                (raw, timings.raw),
                (lambda block: store.search(block, TOP_K), timings.store),
            ]
            for search, into in (sides[first], sides[1 - first]):
                into.append(seconds(search, block, clock))
            taken += 1
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
    """The search of the very index that the store has open, with the store's parameters and as many candidates."""
    part = cast(VectorIndex, store.parts[0])
    index, parameters, candidates = part._index, part._parameters, TOP_K * part._rescore
    return lambda block: index.search(block, candidates, params=parameters)


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
