"""Whether traces are wanted, by OpenTelemetry's own environment variables. Where not, nothing of it is imported."""

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

from semiparametric.errors import InputError

if TYPE_CHECKING:
    from service.observe.spans import Tracing

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def open_tracing(environment: Mapping[str, str] = os.environ) -> "Tracing | None":
    """Tracing as the environment asks for it; None where it does not.

    It does where `OTEL_TRACES_EXPORTER` or an endpoint is set, and `OTEL_SDK_DISABLED` is not true.

    Raises:
        InputError: OpenTelemetry is not installed, or has no exporter of this name.
    """
    exporters = wanted_exporters(environment)
    if not exporters:
        return None
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise InputError(
            "traces are asked for and OpenTelemetry is not installed",
            where="OTEL_* environment",
            remedy="Install it with `pip install 'cosup[otel]'`, or set OTEL_SDK_DISABLED=true",
        )
    from service.observe.spans import exporting_tracing

    return exporting_tracing(exporters)


def wanted_exporters(environment: Mapping[str, str]) -> list[str]:
    """Names of the exporters that the environment asks for, as OpenTelemetry registers them."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return []
    named = environment.get("OTEL_TRACES_EXPORTER", "")
    if not named and any(environment.get(endpoint) for endpoint in _ENDPOINTS):
        named = "otlp"
    names = [name.strip() for name in named.split(",") if name.strip()]
    return [_otlp_protocol(environment) if name == "otlp" else name for name in names if name != "none"]


def _otlp_protocol(environment: Mapping[str, str]) -> str:
    general = environment.get("OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    protocol = environment.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or general
    return "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
