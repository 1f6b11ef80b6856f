"""Traces by OpenTelemetry: a span for each request, and below it one for each answer, segment and lookup.

The only module that imports OpenTelemetry. Spans hold counts, times, scores and ids; no text of users or passages.
"""

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points, version

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from semiparametric.errors import InputError
from service.decoding.timeline import LookupTimes, SegmentTimes, Timeline
from service.draining import PROBED
from service.logs import REQUEST_FIELDS
from service.middleware import route_of

Attributes = Mapping[str, str | int | float | bool]

_EXPORTERS = "opentelemetry_traces_exporter"  # the entry point group of its exporters


def exporting_tracing(exporters: Sequence[str]) -> "Tracing":
    """Tracing that exports in batches through these exporters; their own settings come from the environment.

    Raises:
        InputError: There is no such exporter.
    """
    own = Resource({SERVICE_NAME: "cosup", SERVICE_VERSION: version("cosup")})
    named = own.merge(OTELResourceDetector().detect())  # what the environment says wins
    provider = TracerProvider(resource=Resource.create(named.attributes))
    for name in exporters:
        found = entry_points(group=_EXPORTERS, name=name)
        if not found:
            known = ", ".join(sorted(entry_points(group=_EXPORTERS).names))
            raise InputError(
                f"there is no exporter {name!r}; installed: {known}",
                where="OTEL_TRACES_EXPORTER",
                remedy="Name one of them or install its package",
            )
        provider.add_span_processor(BatchSpanProcessor(next(iter(found)).load()()))
    return Tracing(provider)


class Tracing:
    """Makes spans of requests and, once they have ended, of answers and lookups.

    Args:
        provider: Where the spans go.
    """

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("cosup", version("cosup"))

    def around(self, app: ASGIApp) -> ASGIApp:
        """The app with a span around each request; the caller's `traceparent` is its parent."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] in PROBED:
                await app(scope, receive, send)
                return
            await self._request(app, scope, receive, send)

        return traced

    def close(self) -> None:
        """Send what is still here, and end."""
        self._provider.shutdown()

    def answered(self, index: str, timeline: Timeline) -> None:
        """An answer has ended; see `Observer`."""
        clock = _Clock()
        span = self._tracer.start_span(
            "answer",
            start_time=clock.at(timeline.started),
            attributes=_of_answer(index, timeline),
        )
        if timeline.ending == "failed":
            span.set_status(Status(StatusCode.ERROR))
        inside = trace.set_span_in_context(span)
        self._span("queue", timeline.started, timeline.admitted, {}, clock, inside)
        for step in timeline.steps:
            if isinstance(step, SegmentTimes):
                kind = "plain" if step.passage_id is None else "cited"
                self._span(f"segment {kind}", step.started, step.ended, _of_segment(step), clock, inside)
            else:
                self._span("lookup", step.started, step.ended, _of_lookup(index, step), clock, inside)
        span.end(clock.at(timeline.ended))

    def retrieved(self, index: str, lookup: LookupTimes) -> None:
        """A lookup without an answer is done; see `Observer`."""
        self._span("lookup", lookup.started, lookup.ended, _of_lookup(index, lookup), _Clock(), None)

    async def _request(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        caller = propagate.extract(Headers(scope=scope))
        given = {"http.request.method": scope["method"], "url.path": scope["path"]}
        with self._tracer.start_as_current_span(scope["method"], caller, SpanKind.SERVER, given) as span:
            REQUEST_FIELDS.get()["trace_id"] = trace.format_trace_id(span.get_span_context().trace_id)
            try:
                await app(scope, receive, send)
            finally:
                state, route = scope["state"], route_of(scope)
                span.set_attribute("cosup.request_id", state["request_id"])
                span.set_attribute("http.response.status_code", state["status"])
                if route is not None:
                    span.update_name(f"{scope['method']} {route}")
                    span.set_attribute("http.route", route)
                if state["status"] >= 500:
                    span.set_status(Status(StatusCode.ERROR))

    def _span(
        self, name: str, start: float, end: float, attributes: Attributes, clock: "_Clock", parent: Context | None
    ) -> None:
        span = self._tracer.start_span(name, parent, start_time=clock.at(start), attributes=attributes)
        span.end(clock.at(end))


class _Clock:
    """Turns seconds of `perf_counter` into nanoseconds since 1970."""

    def __init__(self) -> None:
        self._zero = time.time_ns() - time.perf_counter_ns()

    def at(self, seconds: float) -> int:
        return self._zero + int(seconds * 1e9)


def _of_answer(index: str, timeline: Timeline) -> Attributes:
    attributes: dict[str, str | int | float | bool] = {
        "cosup.index": index,
        "cosup.finish_reason": timeline.ending,
    }
    usage = timeline.usage
    if usage is not None:
        attributes |= {
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "cosup.passage_tokens": usage.passage_tokens,
            "cosup.forwarded_tokens": usage.forwarded_tokens,
            "cosup.retrievals": usage.retrievals,
        }
    if timeline.first_text is not None:
        attributes["cosup.time_to_first_token_s"] = timeline.first_text - timeline.started
    return attributes


def _of_segment(segment: SegmentTimes) -> Attributes:
    attributes: dict[str, str | int] = {"cosup.tokens": len(segment.tokens)}
    return attributes if segment.passage_id is None else attributes | {"cosup.passage_id": segment.passage_id}


def _of_lookup(index: str, lookup: LookupTimes) -> Attributes:
    attributes: dict[str, str | int | float] = {
        "cosup.index": index,
        "cosup.outcome": lookup.outcome or "aborted",
        "cosup.found": lookup.num_found,
        "cosup.queue_s": lookup.queue_s,
        "cosup.query_state_s": lookup.state_s,
        "cosup.search_s": lookup.search_s,
    }
    if lookup.passage_id is not None and lookup.score is not None:
        attributes |= {"cosup.passage_id": lookup.passage_id, "cosup.score": lookup.score}
    return attributes
