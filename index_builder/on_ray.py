"""Encoding as a Ray Data pipeline: shards of texts, a pool of actors that hold Embseq, vectors as they come.

The only file that imports ray. The texts travel to the actors and the vectors back to this process, which writes them:
the machines of a cluster need to see the pair's folder, and nothing else of this disk.
"""

import logging
import os
from collections.abc import Generator, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from index_builder.devices import Devices, cpu_kind, resolved_batch_tokens, resolved_dtype
from index_builder.encoder import Counts, EncoderPlan, OnPassages, ShardEncoder, ShardJob
from index_builder.encoding_settings import EncodingSettings
from index_builder.shards import Shards
from semiparametric.errors import CosupError, InputError

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use over the network

try:
    import ray
    import ray.data
except ImportError as error:
    raise InputError(
        "--engine ray needs Ray, which is not installed", remedy="Install it with pip install 'cosup[ray]'"
    ) from error

logger = logging.getLogger(__name__)

_WAVE_BYTES = 512 << 20
"""Texts that Ray's object store holds at a time."""

_CPU_SHARE = 0.8
"""Of a cluster's CPUs that actors may take: where they took all, Ray's own tasks would wait for ever."""

_CPU_WORKERS = 2

_LEAST_CPUS = 2
"""That Ray counts on this machine: with a single one it waits for ever. It is a count, not a binding to cores."""


def find_actors(settings: EncodingSettings) -> Devices:
    """Join the cluster or start one on this machine, and say what its actors encode on.

    Raises:
        InputError: The cluster does not answer, or it has less than the settings ask for.
    """
    resources = _connect(settings.address)
    gpus = int(resources.get("GPU", 0))
    device = settings.device if settings.device != "auto" else "cuda" if gpus else "cpu"
    if device == "cuda" and not gpus:
        raise InputError("Ray's cluster has no GPU", where="--device", remedy="Try cpu")
    workers = settings.workers or (gpus if device == "cuda" else _CPU_WORKERS)
    if device == "cuda" and workers > gpus:
        raise InputError(f"{workers} actors on {gpus} GPUs", where="--workers", remedy=f"Name {gpus} at the most")
    threads = settings.encoding_threads or torch.get_num_threads()
    kind = f"{cpu_kind()}, {threads} threads" if device == "cpu" else "GPUs of Ray's cluster"
    dtype, batch_tokens = resolved_dtype(settings.dtype, device), resolved_batch_tokens(settings, device)
    return Devices((device,) * workers, dtype, threads, kind, batch_tokens)


def encode_with_ray(
    jobs: Iterator[ShardJob], shards: Shards, plans: list[EncoderPlan], on_passages: OnPassages
) -> Generator[Counts]:
    """Make shards with an actor for each plan (which are all alike) and write them here.

    Yields:
        The counts of each shard that is written.

    Raises:
        CosupError: An actor failed, and again when Ray started it anew.
    """
    kinds: set[str] = set()
    for wave in _waves(jobs):
        for row in _encoded(wave, plans):
            vectors = np.frombuffer(row["vectors"], np.float32).reshape(row["rows"], -1)
            shards.write(row["number"], vectors)
            on_passages(row["rows"])
            kinds.add(row["kind"])
            yield Counts(row["rows"], row["tokens"], row["padding"], row["truncated"])
    if len(kinds) > 1:
        logger.warning("the actors ran on %s: vectors depend on which, in their last bits", " and ".join(sorted(kinds)))


class _Actor:
    """What Ray starts on the machines of a cluster: it takes a row of texts and gives one of vectors."""

    def __init__(self, plan: EncoderPlan) -> None:
        torch.set_num_threads(plan.threads)
        if not plan.pair.is_dir():
            raise InputError(
                "the pair's folder is not there",
                where=f"{plan.pair} on {ray.util.get_node_ip_address()}",
                remedy="Every machine of Ray's cluster must have it under this path: put it on a shared disk",
            )
        self._encoder = ShardEncoder(plan)
        self._kind = cpu_kind() if plan.device == "cpu" else torch.cuda.get_device_name()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        encoded = self._encoder.encode(ShardJob(int(row["number"]), list(row["texts"])))
        return {
            "number": encoded.number,
            "rows": len(encoded.vectors),
            "vectors": encoded.vectors.tobytes(),
            "tokens": encoded.counts.tokens,
            "padding": encoded.counts.padding,
            "truncated": encoded.counts.truncated,
            "kind": self._kind,
        }


def _encoded(tables: list[pa.Table], plans: list[EncoderPlan]) -> Iterator[dict[str, Any]]:
    plan, workers = plans[0], min(len(plans), len(tables))
    told: dict[str, Any] = {"num_cpus": _cpus(plan, workers)}
    if plan.device == "cuda":
        told = {"num_cpus": 0, "num_gpus": 1}
    pool = ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2)
    dataset = ray.data.from_arrow(tables)
    actor: Any = _Actor  # Ray makes one of each of these and calls it
    encoded = dataset.map(actor, fn_constructor_kwargs={"plan": plan}, compute=pool, **told)
    try:
        yield from encoded.iter_rows()
    except ray.exceptions.RayError as error:
        raise _failure(error) from error


def _cpus(plan: EncoderPlan, workers: int) -> float:
    """CPUs that Ray sets aside for an actor: its threads, if the cluster has so many."""
    here = float(ray.cluster_resources().get("CPU", 1))
    share = _CPU_SHARE * here / workers
    return round(min(plan.threads, share), 2) if share < 1 else float(min(plan.threads, int(share)))


def _waves(jobs: Iterator[ShardJob]) -> Iterator[list[pa.Table]]:
    """Jobs as tables of one row, in portions that fit into Ray's object store beside one another."""
    wave: list[pa.Table] = []
    for job in jobs:
        texts = pa.array([job.texts], pa.large_list(pa.large_string()))
        wave.append(pa.table({"number": [job.number], "texts": texts}))
        if sum(table.nbytes for table in wave) >= _WAVE_BYTES:
            yield wave
            wave = []
    if wave:
        yield wave


def _connect(address: str | None) -> dict[str, float]:
    if not ray.is_initialized():
        try:
            ray.init(
                address=address or "local",
                num_cpus=None if address else max(_LEAST_CPUS, len(os.sched_getaffinity(0))),
                include_dashboard=None if address else False,
                logging_level=logging.WARNING,
                log_to_driver=False,
            )
        except Exception as error:
            what, remedy = "cannot be started on this machine", "Its logs are under /tmp/ray/session_latest/logs"
            if address:
                what = "cannot be joined"
                remedy = "Ask `ray status` on one of its machines; give the address that `ray start --head` printed"
            where = f"--address {address}" if address else "--engine ray"
            raise InputError(f"Ray's cluster {what} ({error})", where=where, remedy=remedy) from error
        _quiet()
    return dict(ray.cluster_resources())


def _quiet() -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False  # there is one already
    context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.WARNING)


def _failure(error: Exception) -> CosupError:
    """What went wrong in an actor, in its own words where it has some."""
    causes = chain([error], _causes(error))
    ours = next((cause for cause in causes if isinstance(cause, CosupError)), None)
    if ours is not None:
        return ours
    last_line = str(error).strip().splitlines()[-1]
    return CosupError(
        f"an actor failed ({last_line})",
        where="--engine ray",
        remedy="`ray logs` says more. The same command resumes from the shards that are there",
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    for name in ("cause", "__cause__"):
        cause = getattr(error, name, None)
        if isinstance(cause, BaseException):
            yield cause
            yield from _causes(cause)
