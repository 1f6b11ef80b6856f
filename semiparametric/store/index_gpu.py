"""Training and filling an index on a GPU, with faiss-gpu. What it gives is searched on the CPU, as any other."""

import logging
from collections.abc import Iterable

import faiss
import numpy as np
from numpy.typing import NDArray

from semiparametric.store.index_plan import IndexPlan
from semiparametric.store.index_training import bound_training

logger = logging.getLogger(__name__)

_AT_ONCE = 262_144  # vectors handed to the GPU at a time


def available() -> bool:
    """Whether this faiss sees a GPU; faiss-gpu can be imported where there is none."""
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


def build(blocks: Iterable[NDArray[np.float32]], count: int, plan: IndexPlan) -> faiss.Index | None:
    """The index of one part, trained and filled on the first GPU; None where there is none, or it cannot help.

    A graph is built by CAGRA, if this faiss has it. A type that the GPU does not know is left to the CPU.
    """
    if not available():
        return None
    if plan.index_type == "flat":
        return None  # there is nothing to compute
    if plan.index_type == "hnsw":
        return _graph(blocks, plan) if hasattr(faiss, "GpuIndexCagra") else None
    return _trained_and_filled(blocks, count, plan)


def _graph(blocks: Iterable[NDArray[np.float32]], plan: IndexPlan) -> faiss.Index:
    """A graph by CAGRA, copied to one that the CPU walks; its upper levels are made on the CPU."""
    links = int(plan.index_parameters["hnsw_m"])
    config = faiss.GpuIndexCagraConfig()
    config.graph_degree = 2 * links  # as many as an HNSW has on the ground level
    config.intermediate_graph_degree = 4 * links
    resources = faiss.StandardGpuResources()
    graph = faiss.GpuIndexCagra(resources, plan.dimension, faiss.METRIC_INNER_PRODUCT, config)
    logger.info("building the graph on a GPU, with CAGRA")
    graph.train(np.concatenate([np.asarray(block, np.float32) for block in blocks]))
    index = faiss.IndexHNSWCagra(plan.dimension, links, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = int(plan.index_parameters["hnsw_ef_construction"])
    graph.copyTo(index)
    return index


def _trained_and_filled(blocks: Iterable[NDArray[np.float32]], count: int, plan: IndexPlan) -> faiss.Index | None:
    from semiparametric.store.index_writing import sample

    resources = faiss.StandardGpuResources()
    untrained = plan.create()
    kept = bound_training(untrained)
    try:
        index = faiss.index_cpu_to_gpu(resources, 0, untrained)
    except RuntimeError as error:
        logger.info("the GPU does not know this index type, the CPU builds it: %s", error)
        return None
    logger.info("training and filling the index on a GPU")
    if not index.is_trained:
        index.train(sample(blocks, count, plan.training_vectors))
    del kept
    for portion in _portions(blocks):
        index.add(portion)
    return faiss.index_gpu_to_cpu(index)


def _portions(blocks: Iterable[NDArray[np.float32]]) -> Iterable[NDArray[np.float32]]:
    waiting: list[NDArray[np.float32]] = []
    for block in blocks:
        waiting.append(np.asarray(block, np.float32))
        if sum(map(len, waiting)) >= _AT_ONCE:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)
