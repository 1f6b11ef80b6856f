"""What is so at the moment of a scrape: read from the loaded resources then, so that no change can be missed."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from service.resources import Resources


class StateCollector(Collector):
    """How busy the engine is, and what is served; nothing while nothing is loaded.

    Args:
        resources: Gives what is loaded now, None while nothing is.
    """

    def __init__(self, resources: Callable[[], Resources | None]) -> None:
        self._resources = resources

    def collect(self) -> Iterator[Metric]:
        """The families of gauges."""
        resources = self._resources()
        if resources is None:
            return
        load = resources.engine.load
        yield _gauge(
            "num_sessions_running", "Answers in the engine's batch, those that look up included.", load.running
        )
        yield _gauge("num_requests_waiting", "Requests that wait for a place in the engine.", load.waiting)
        yield _gauge("max_sessions", "Places in the engine.", load.places)
        stores = {name: index.current.store for name, index in resources.indexes.items()}
        versions = {name: store.version for name, store in stores.items()}
        yield _of_index("index_version", "Version of the index that is served.", versions)
        passages = {name: len(store) for name, store in stores.items()}
        yield _of_index("index_passages", "Passages of the version that is served.", passages)


def _gauge(name: str, text: str, value: int) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"cosup:{name}", text, value=value)


def _of_index(name: str, text: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"cosup:{name}", text, labels=["index"])
    for index, value in values.items():
        family.add_metric([index], value)
    return family
