"""Traces of the app in this process, read from the SDK's own exporter into memory."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from semiparametric.errors import InputError
from service.app import create_app
from service.logs import JsonFormatter
from service.observe.spans import Tracing
from service.observe.tracing import open_tracing, wanted_exporters
from service.settings import ServeSettings
from tests.service.running import client_of
from tests.small_index import build_small_index
from tests.test_architecture import ROOT, run_python

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUESTION = {"question": "What does the keeper write down?", "max_new_tokens": 12}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass
class Traced:
    """A running app and the spans that it has ended."""

    client: httpx.AsyncClient
    exporter: InMemorySpanExporter

    async def spans(self, path: str, body: dict[str, object], **headers: str) -> list[ReadableSpan]:
        """What one request makes, in the order of the starts, the outer before the inner."""
        self.exporter.clear()
        reply = await self.client.post(path, json=body, headers=headers)
        assert reply.status_code == 200, reply.text
        await asyncio.sleep(0)  # an answer is told of in the turn of the loop after the one in which it is sent
        return self.ended()

    def ended(self) -> list[ReadableSpan]:
        return sorted(
            self.exporter.get_finished_spans(), key=lambda span: (span.start_time or 0, -(span.end_time or 0))
        )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def traced(tiny_pair: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Traced]:
    index = build_small_index(tiny_pair, tmp_path_factory.mktemp("index") / "small")
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    app = create_app(ServeSettings(pair=tiny_pair, index=index), Tracing(provider))
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield Traced(client, exporter)


def parents(spans: list[ReadableSpan]) -> dict[str, str | None]:
    names = {span.context.span_id: span.name for span in spans if span.context}
    return {span.name: names.get(span.parent.span_id) if span.parent else None for span in spans}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_a_span_for_each_segment_and_lookup_below_the_requests(traced: Traced, stream: bool) -> None:
    spans = await traced.spans("/generate", QUESTION | {"retrieval": "first", "stream": stream})
    assert parents(spans) == {
        "POST /generate": None,
        "answer": "POST /generate",
        "queue": "answer",
        "lookup": "answer",
        "segment cited": "answer",
    }
    request, answer, _, lookup, segment = spans
    assert request.kind is SpanKind.SERVER
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 200
    assert answer.attributes is not None
    assert answer.attributes["cosup.finish_reason"] == "length"
    assert answer.attributes["gen_ai.usage.output_tokens"] == 12
    assert lookup.attributes is not None
    assert lookup.attributes["cosup.outcome"] == "found"
    assert segment.attributes is not None
    assert segment.attributes["cosup.tokens"] == 12
    assert segment.attributes["cosup.passage_id"] == lookup.attributes["cosup.passage_id"]


async def test_spans_lie_inside_their_parents_in_the_order_of_the_answer(traced: Traced) -> None:
    spans = await traced.spans("/generate", QUESTION | {"retrieval": "first"})
    _, answer, *inner = spans
    for earlier, later in pairwise(inner):
        assert earlier.end_time is not None
        assert later.start_time is not None
        assert earlier.end_time <= later.start_time
    last = inner[-1].end_time
    assert answer.end_time is not None
    assert last is not None
    assert last <= answer.end_time


async def test_a_withdrawn_lookup_is_followed_by_a_plain_segment(traced: Traced) -> None:
    spans = await traced.spans("/generate", QUESTION | {"retrieval": "first", "min_score": 2})
    lookup, segment = spans[-2:]
    assert (lookup.name, segment.name) == ("lookup", "segment plain")
    assert lookup.attributes is not None
    assert lookup.attributes["cosup.outcome"] == "withdrawn"


async def test_retrieve_is_a_lookup_below_its_request(traced: Traced) -> None:
    spans = await traced.spans("/retrieve", {"query": "the tide"})
    assert parents(spans) == {"POST /retrieve": None, "lookup": "POST /retrieve"}


async def test_a_callers_trace_goes_on_and_is_in_the_log(
    traced: Traced, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caplog.handler, "formatter", JsonFormatter())
    caplog.set_level(logging.INFO, "service.access")
    spans = await traced.spans("/generate", QUESTION, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert {f"{span.context.trace_id:032x}" for span in spans if span.context} == {TRACE}
    assert spans[0].parent is not None
    assert f"{spans[0].parent.span_id:016x}" == PARENT
    lines = [json.loads(line) for line in caplog.text.splitlines()]
    assert [line["trace_id"] for line in lines if line["logger"] == "service.access"] == [TRACE]


async def test_a_caller_who_does_not_sample_gets_no_spans(traced: Traced) -> None:
    assert await traced.spans("/generate", QUESTION, traceparent=f"00-{TRACE}-{PARENT}-00") == []


async def test_spans_hold_no_text_of_users_or_passages(traced: Traced) -> None:
    body = QUESTION | {"question": "What is the secret of the cellar?", "retrieval": "first", "candidates": ["lamp"]}
    shown = "".join(span.to_json() for span in await traced.spans("/generate", body))
    assert '"cosup.passage_id": "lamp"' in shown
    assert "cellar" not in shown
    assert "dusk" not in shown


async def test_an_answer_whose_client_leaves_is_still_a_whole_trace(traced: Traced) -> None:
    traced.exporter.clear()
    body = QUESTION | {"retrieval": "never", "max_new_tokens": 400}
    asking = asyncio.create_task(traced.client.post("/generate", json=body))
    await asyncio.sleep(0.1)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    spans = traced.ended()
    assert [span.name for span in spans] == ["POST /generate", "answer", "queue", "segment plain"]
    assert spans[1].attributes is not None
    assert spans[1].attributes["cosup.finish_reason"] == "aborted"


async def test_probes_and_scrapes_are_not_traced(traced: Traced) -> None:
    traced.exporter.clear()
    for path in ("/health", "/ready", "/metrics"):
        assert (await traced.client.get(path)).status_code == 200
    assert traced.ended() == []


@pytest.mark.parametrize(
    ("environment", "exporters"),
    [
        ({}, []),
        ({"OTEL_SERVICE_NAME": "answers"}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, ["otlp_proto_http"]),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, ["otlp_proto_http"]),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, []),
        ({"OTEL_TRACES_EXPORTER": "otlp, console"}, ["otlp_proto_http", "console"]),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["otlp_proto_grpc"]),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, []),
    ],
)
async def test_the_standard_variables_say_whether_there_are_traces(
    environment: dict[str, str], exporters: list[str]
) -> None:
    assert wanted_exporters(environment) == exporters


async def test_an_exporter_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="no exporter 'pigeon'; installed: console, otlp_proto_http"):
        open_tracing({"OTEL_TRACES_EXPORTER": "pigeon"})


async def test_traces_without_opentelemetry_are_refused_with_the_command_that_installs_it() -> None:
    code = """
import sys
sys.modules.update({"opentelemetry": None, "opentelemetry.sdk": None})
from semiparametric.errors import InputError
from service.observe.tracing import open_tracing
try:
    open_tracing({"OTEL_TRACES_EXPORTER": "otlp"})
except InputError as error:
    print(error)
"""
    assert "pip install 'cosup[otel]'" in run_python(code).stdout


async def test_a_service_without_traces_imports_nothing_of_opentelemetry() -> None:
    code = """
import sys
from service.app import create_app
from service.observe.tracing import open_tracing
from service.settings import ServeSettings
create_app(ServeSettings(pair="pair", index="index"), open_tracing({}))
sys.exit("opentelemetry" in sys.modules)
"""
    assert run_python(code).returncode == 0


@pytest.mark.parametrize(
    ("library", "modules"),
    [
        ("opentelemetry", ["observe/spans.py"]),
        ("prometheus_client", ["observe/metrics.py", "observe/state.py", "routes/metrics.py"]),
    ],
)
async def test_what_watches_stands_at_the_edge_and_nowhere_else(library: str, modules: list[str]) -> None:
    service = ROOT / "service"
    importing = [path for path in service.rglob("*.py") if f"from {library}" in path.read_text("utf-8")]
    assert sorted(str(path.relative_to(service)) for path in importing) == modules
