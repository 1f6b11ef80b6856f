"""What a service counts and times, under names in the style of vLLM's (`cosup:time_to_first_token_seconds`).

Every label has few values: the names of served indexes, templates of routes, statuses, words of the API. Nothing that a
client may choose freely becomes one.
"""

import platform
from importlib.metadata import version

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, Info
from prometheus_client.registry import Collector

from service.decoding.timeline import LookupTimes, Timeline
from service.middleware import RequestEnd

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"


def doubling(first_s: float, last_s: float) -> tuple[float, ...]:
    """Bounds of a histogram's buckets, in seconds, each twice the one before.

    A quantile that is read from them is off by a factor of two at worst and mostly by far less, wherever it lies: the
    same metric has to serve a small model on a GPU and a large one on a CPU, a thousand times slower.
    """
    bounds = [first_s]
    while bounds[-1] < last_s:
        bounds.append(bounds[-1] * 2)
    return tuple(bounds)


_ANSWER_S = doubling(0.01, 320)  # a cached word on a GPU, up to a thousand tokens on a CPU
_FIRST_S = doubling(0.005, 80)  # prompt, lookup and passage; a full queue may come before
_TOKEN_S = doubling(0.001, 2)  # one step of the batch
_PAUSE_S = doubling(0.002, 16)  # query state, search and a passage to read
_STATE_S = doubling(0.0005, 8)  # next to nothing where the step that wrote [Ret] has it, else a step or a prefill
_SEARCH_S = doubling(0.0001, 3.2)  # thousands of vectors in memory, up to billions on other machines
_QUEUE_S = doubling(0.001, 128)  # mostly nothing: the first bucket says so


class Metrics:
    """The metrics of one service, in a registry of its own, which also shows the process's default registry.

    There stand what Python says of the process (memory, garbage collection) and, once vLLM runs in it, vLLM's metrics.

    Args:
        state: Gives what is not counted but is so at the time, such as the index's version.
    """

    def __init__(self, state: Collector) -> None:
        self.registry = registry = CollectorRegistry()
        registry.register(state)
        registry.register(REGISTRY)

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"cosup:{name}", text, labels, registry=registry)

        def seconds(name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"cosup:{name}_seconds", text, labels, registry=registry, buckets=buckets)

        Info("cosup:build", "What runs.", registry=registry).info(
            {"version": version("cosup"), "python": platform.python_version()}
        )
        self._requests = counter("http_requests", "HTTP requests.", "method", "route", "status")
        self._request_s = seconds(
            "http_request_duration", "From a request to the end of its response.", _ANSWER_S, "route"
        )
        self._answers = counter(
            "answers", "Answers that ended; aborted: the client left, failed: an error.", "index", "finish_reason"
        )
        self._prompt = counter("prompt_tokens", "Tokens of prompts.", "index")
        self._passages = counter("passage_tokens", "Tokens that lookups put before Gen.", "index")
        self._completion = counter("completion_tokens", "Tokens that Gen chose, control tokens included.", "index")
        self._forwarded = counter(
            "forwarded_tokens", "Tokens that Gen computed; the others came out of a cache.", "index"
        )
        self._lookups = counter(
            "lookups", "Lookups; withdrawn: nothing was good enough, no_room: a full context.", "index", "outcome"
        )
        self._answer_s = seconds(
            "e2e_request_latency", "From the question to the end of its answer.", _ANSWER_S, "index"
        )
        self._first_s = seconds(
            "time_to_first_token", "From the question to the first text of its answer.", _FIRST_S, "index"
        )
        self._token_s = seconds(
            "inter_token_latency", "Between two tokens of one segment of an answer.", _TOKEN_S, "index"
        )
        self._pause_s = seconds(
            "lookup_pause", "From [Ret] to the next token: query state, search, reading the passage.", _PAUSE_S, "index"
        )
        self._state_s = seconds("query_state_time", "Waiting for a query state.", _STATE_S, "index")
        self._search_s = seconds(
            "lookup_time", "Searching an index, with encoding a query of text.", _SEARCH_S, "index"
        )
        self._queue_s = seconds("request_queue_time", "Waiting for a place in the engine.", _QUEUE_S, "index")

    def request_ended(self, end: RequestEnd) -> None:
        """A response has left, or its client has."""
        method = end.method if end.method in _METHODS else _OTHER
        route = end.route or _OTHER
        self._requests.labels(method, route, str(end.status)).inc()
        self._request_s.labels(route).observe(end.duration_s)

    def answered(self, index: str, timeline: Timeline) -> None:
        """An answer has ended; see `Observer`."""
        self._answers.labels(index, timeline.ending).inc()
        self._queue_s.labels(index).observe(timeline.admitted - timeline.started)
        self._answer_s.labels(index).observe(timeline.ended - timeline.started)
        if timeline.first_text is not None:
            self._first_s.labels(index).observe(timeline.first_text - timeline.started)
        self._count_tokens(index, timeline)
        for lookup in timeline.lookups():
            self._looked_up(index, lookup)
        for histogram, durations in (
            (self._token_s.labels(index), timeline.token_gaps()),
            (self._pause_s.labels(index), timeline.pauses()),
        ):
            for duration in durations:
                histogram.observe(duration)

    def retrieved(self, index: str, lookup: LookupTimes) -> None:
        """A lookup without an answer is done; see `Observer`."""
        self._queue_s.labels(index).observe(lookup.queue_s)
        self._looked_up(index, lookup)

    def _count_tokens(self, index: str, timeline: Timeline) -> None:
        usage = timeline.usage
        if usage is not None:
            self._prompt.labels(index).inc(usage.prompt_tokens)
            self._passages.labels(index).inc(usage.passage_tokens)
            self._completion.labels(index).inc(usage.completion_tokens)
            self._forwarded.labels(index).inc(usage.forwarded_tokens)

    def _looked_up(self, index: str, lookup: LookupTimes) -> None:
        if lookup.outcome is None:  # its answer ended before it did
            return
        self._lookups.labels(index, lookup.outcome).inc()
        self._search_s.labels(index).observe(lookup.search_s)
        if lookup.state_s > 0:  # 0 is a query of text
            self._state_s.labels(index).observe(lookup.state_s)
