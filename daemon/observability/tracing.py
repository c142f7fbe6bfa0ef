"""Whether there are traces: the environment says so in OpenTelemetry's own words, and the extra is installed."""

import os
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from daemon.observability.traces import Traces

log = structlog.get_logger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def make_traces(version: str) -> "Traces | None":
    """None where nothing asks for traces: then nothing of OpenTelemetry is even imported."""
    if not any(os.environ.get(name) for name in _ENDPOINTS) or os.environ.get("OTEL_SDK_DISABLED", "") == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from daemon.observability.traces import Traces
    except ImportError:
        log.warning("traces_unavailable", reason="the extra is not installed: pip install 'headgate[otel]'")
        return None
    return Traces(OTLPSpanExporter(), version=version)
