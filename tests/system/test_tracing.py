"""`cosup serve` told by OTEL_* variables where its traces go: a collector gets them, a missing one does no harm."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cosup.child_service import child_service
from tests.small_index import build_small_index

pytestmark = pytest.mark.system

QUESTION = {"question": "Who lights the lamp?", "retrieval": "first", "max_new_tokens": 4}


class Collector(BaseHTTPRequestHandler):
    """Takes what OpenTelemetry's protocol brings over HTTP."""

    received: ClassVar[list[ExportTraceServiceRequest]] = []

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.received.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def collector() -> Iterator[str]:
    Collector.received.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def options(pair: Path, folder: Path) -> list[str]:
    index = build_small_index(pair, folder / "small")
    return ["--pair", str(pair), "--index", str(index), "--port", "0", "--threads", "1"]


def test_a_collector_has_the_whole_trace_when_the_service_has_ended(
    tiny_pair: Path, tmp_path: Path, collector: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=tests")
    monkeypatch.setenv("NO_PROXY", "*")
    with child_service(options(tiny_pair, tmp_path), tmp_path / "log") as service:
        service.wait_until_ready()
        assert httpx.post(f"{service.url}/generate", json=QUESTION, trust_env=False).status_code == 200
    sent = [resource for request in Collector.received for resource in request.resource_spans]
    spans = [span for resource in sent for scope in resource.scope_spans for span in scope.spans]
    assert sorted(span.name for span in spans) == ["POST /generate", "answer", "lookup", "queue", "segment cited"]
    assert len({span.trace_id for span in spans}) == 1
    attributes = {one.key: one.value.string_value for one in sent[0].resource.attributes}
    assert attributes["service.name"] == "cosup"
    assert attributes["deployment.environment"] == "tests"


def test_a_collector_that_is_not_there_keeps_neither_answers_nor_the_end_waiting(
    tiny_pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "*")
    with child_service(options(tiny_pair, tmp_path), tmp_path / "log") as service:
        service.wait_until_ready()
        assert httpx.post(f"{service.url}/generate", json=QUESTION, trust_env=False).status_code == 200
