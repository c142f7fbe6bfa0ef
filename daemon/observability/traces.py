"""OpenTelemetry traces, where the extra ``otel`` is installed and an OTLP endpoint is named in the environment.

A message's trace is its envelope's ``trace_id``, whose 32 hex digits are the W3C trace id; its span is a child of the
``traceparent`` that came with it. What follows from it (work, events, dead letters) is published within that span and
carries on its own. Which span a trace was last seen in is kept in memory: what goes out after a restart, or is handed
out again hours later, begins at the trace itself.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from msgspec.structs import replace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from adapters.nats.outgoing import Outgoing, Published
from contracts.gate.delivery import Accepted, Judged
from handlers.effects import BatchOutcome, Verdict

log = structlog.get_logger(__name__)

TRACEPARENT: Final = "traceparent"
_MOST_REMEMBERED: Final = 10_000
_NANOS: Final = 1_000
_TRACE_ID: Final = b'"trace_id":"'
_UUID_CHARACTERS: Final = 36
_HEAD_BYTES: Final = 1_000
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class _EnvelopeIds(RandomIdGenerator):
    """Traces have the ids of their envelopes."""

    trace_id: int | None = None

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self.trace_id is None else self.trace_id


class Traces:
    """The spans of one daemon. Times are microseconds since the epoch."""

    def __init__(self, exporter: SpanExporter, *, version: str) -> None:
        self._ids = _EnvelopeIds()
        resource = Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", "headgate")})
        self._provider = TracerProvider(
            resource=resource.merge(Resource({"service.version": version})), id_generator=self._ids
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("headgate", version)
        self._seen: OrderedDict[str, SpanContext] = OrderedDict()
        self._asked: dict[int, Span] = {}

    def received(self, batch: Sequence[Judged], settled: BatchOutcome, *, seconds: float, now: int) -> None:
        """A span for each message of a committed batch: from the moment its stream stored it."""
        for judged, outcome in zip(batch, settled.outcomes, strict=True):
            trace_id = judged.trace_id if isinstance(judged, Accepted) else judged.problem.trace_id
            if trace_id is None or outcome.verdict is Verdict.HELD:
                continue
            delivery = judged.delivery
            span = self._begin(
                f"receive {judged.kind}", SpanKind.CONSUMER, trace_id, delivery.headers, delivery.stored_at
            )
            span.set_attributes(
                {
                    "messaging.system": "nats",
                    "messaging.destination.name": delivery.subject,
                    "messaging.message.id": judged.message_id or "",
                    "headgate.outcome": str(outcome.verdict),
                    "headgate.commit_seconds": seconds,
                }
            )
            self._remember(trace_id, span)
            span.end(now * _NANOS)

    def asked(self, key: int, command: str, trace_id: str, headers: Mapping[str, str]) -> None:
        """A command has come; *key* names it until it is answered."""
        span = self._begin(f"command {command}", SpanKind.SERVER, trace_id, headers, None)
        self._remember(trace_id, span)
        self._asked[key] = span

    def answered(self, key: int, status: int) -> None:
        span = self._asked.pop(key, None)
        if span is None:
            return
        span.set_attribute("headgate.status", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def leaving(self, messages: Sequence[tuple[Outgoing, int]]) -> tuple[list[Outgoing], list[Span | None]]:
        """The messages as they go out, with their created-at: each with a span that it carries on."""
        carried: list[Outgoing] = []
        spans: list[Span | None] = []
        for message, created_at in messages:
            trace_id = _trace_of(message.body)
            if trace_id is None:
                carried.append(message)
                spans.append(None)
                continue
            parent = self._seen.get(trace_id)
            span = self._begin(f"publish {message.subject}", SpanKind.PRODUCER, trace_id, {}, created_at, parent=parent)
            carrier: dict[str, str] = {}
            _PROPAGATOR.inject(carrier, set_span_in_context(span))
            carried.append(replace(message, headers={**message.headers, **carrier}))
            spans.append(span)
        return carried, spans

    def left(self, spans: Sequence[Span | None], outcomes: Sequence[Published]) -> None:
        for span, outcome in zip(spans, outcomes, strict=True):
            if span is not None:
                span.set_attribute("headgate.outcome", str(outcome.outcome))
                span.end()

    def close(self) -> None:
        """Send what is left; it takes the exporter's time-out at most."""
        self._provider.shutdown()

    def _begin(
        self,
        name: str,
        kind: SpanKind,
        trace_id: str,
        headers: Mapping[str, str],
        started_at: int | None,
        *,
        parent: SpanContext | None = None,
    ) -> Span:
        context = None if parent is None else set_span_in_context(NonRecordingSpan(parent))
        if context is None and TRACEPARENT in headers:
            context = _PROPAGATOR.extract(headers)
        self._ids.trace_id = _as_int(trace_id)
        try:
            start = None if started_at is None else started_at * _NANOS
            span = self._tracer.start_span(name, context, kind=kind, start_time=start)
        finally:
            self._ids.trace_id = None
        span.set_attribute("headgate.trace_id", trace_id)
        return span

    def _remember(self, trace_id: str, span: Span) -> None:
        self._seen[trace_id] = span.get_span_context()
        self._seen.move_to_end(trace_id)
        while len(self._seen) > _MOST_REMEMBERED:
            self._seen.popitem(last=False)


def _trace_of(body: bytes) -> str | None:
    """The trace of one of our own envelopes, whose head is written in one order: without reading the whole of it."""
    start = body.find(_TRACE_ID, 0, _HEAD_BYTES)
    if start < 0:
        return None
    start += len(_TRACE_ID)
    found = body[start : start + _UUID_CHARACTERS].decode(errors="replace")
    return found if _as_int(found) else None


def _as_int(trace_id: str) -> int | None:
    try:
        return int(trace_id.replace("-", ""), 16) or None
    except ValueError:
        return None
