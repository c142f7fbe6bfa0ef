"""Messages in order, to be spoilt one way or another by the tests."""

from collections.abc import Mapping
from typing import Any

import orjson

from contracts.errors import Detail, Problem
from contracts.gate.delivery import Accepted, Delivery, Judged, Refused
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY

TRACE = "5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11"
STORED_AT = 1_795_169_730_500_000  # 2026-11-20T10:15:30.5Z
GATE = Gate(REGISTRY, GateRules())

# The bodies here are any JSON, spoilt on purpose: their type would only get in the way.
Json = Any


def usage(**changes: Json) -> dict[str, Json]:
    """A session.usage 2.0 payload."""
    return {
        "session_id": "planner-7:s-42",
        "agent": "planner-7",
        "model": "openai/gpt-5",
        "at": "2026-11-20T10:15:30.100Z",
        "status": "ok",
        "input_tokens": 1200,
        "output_tokens": 345,
        "runtime_ms": 2310,
        "cost_usd": "0.008775",
        "pricing_version": "2026-11-01",
        "provenance": {
            "tokens": {"source": "provider_reported", "confidence": "high"},
            "runtime": {"source": "derived", "confidence": "medium"},
            "cost": {"source": "provider_reported", "confidence": "high"},
        },
    } | changes


def usage_1(**changes: Json) -> dict[str, Json]:
    """A session.usage 1.0 payload."""
    return {
        "session_id": "planner-7:s-42",
        "agent": "planner-7",
        "model": "gpt-4",
        "timestamp": "2024-03-01T12:00:00+02:00",
        "tokens_in": 10,
        "tokens_out": 20,
        "runtime_ms": 30,
        "cost": 0.25,
        "status": "ok",
    } | changes


def event(**changes: Json) -> dict[str, Json]:
    """A session.event 1.0 payload."""
    return {
        "session_id": "planner-7:s-42",
        "agent": "planner-7",
        "type": "message",
        "at": "2026-11-20T10:15:30Z",
        "text": "hello",
        "data": {"step": 1},
    } | changes


def idea(**changes: Json) -> dict[str, Json]:
    """A content.idea 1.0 payload."""
    return {
        "idea_id": "idea-1",
        "topic": "Harbours",
        "objective": "saves",
        "hook": "You have walked past this door",
        "format": "short video",
    } | changes


def script(**changes: Json) -> dict[str, Json]:
    """A content.script 1.0 payload."""
    return {
        "script_id": "script-1",
        "idea_id": "idea-1",
        "title": "The harbour door",
        "body": "Most people pass it. We went in.",
        "duration_s": 30,
        "scenes": [{"text": "A door", "duration_s": 10}, {"text": "The hall behind it", "duration_s": 20}],
    } | changes


def envelope(
    payload: Json, kind: str = "session.usage", schema_version: str = "2.0", **changes: Json
) -> dict[str, Json]:
    """A version 2 envelope."""
    return {
        "envelope_version": 2,
        "kind": kind,
        "schema_version": schema_version,
        "message_id": "planner-7:000123",
        "trace_id": TRACE,
        "created_at": "2026-11-20T10:15:30.123Z",
        "producer": "planner-7",
        "payload": payload,
    } | changes


def event_envelope(payload: Json, **changes: Json) -> dict[str, Json]:
    return envelope(payload, "session.event", "1.0", **changes)


def envelope_1(payload: Json, schema_version: str = "1.0", **changes: Json) -> dict[str, Json]:
    """A version 1 envelope."""
    return {
        "envelope_version": 1,
        "schema_version": schema_version,
        "trace_id": TRACE,
        "created_at": "2024-03-01T12:00:00Z",
        "payload": payload,
    } | changes


def without(value: Mapping[str, Json], *names: str) -> dict[str, Json]:
    return {name: item for name, item in value.items() if name not in names}


def delivery(
    body: Json,
    subject: str = "ingest.session.usage",
    headers: Mapping[str, str] | None = None,
    stored_at: int = STORED_AT,
) -> Delivery:
    """As the stream would hand it over; a body that is no bytes is written as JSON."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return Delivery(subject, raw, headers or {}, "HG_INGEST", 7, 1, stored_at, "$JS.ACK.7")


def judge(
    body: Json, kind: str = "session.usage", headers: Mapping[str, str] | None = None, gate: Gate = GATE
) -> Judged:
    return gate.judge(delivery(body, f"ingest.{kind}", headers))


def accepted(judged: Judged) -> Accepted:
    assert isinstance(judged, Accepted), judged.problem
    return judged


def problem(judged: Judged) -> Problem:
    assert isinstance(judged, Refused)
    return judged.problem


def where(judged: Judged) -> set[tuple[str, str]]:
    """(path, code) of each violation."""
    return {(detail.path, detail.code) for detail in problem(judged).details}


def only(judged: Judged) -> Detail:
    """The one violation."""
    [detail] = problem(judged).details
    return detail
