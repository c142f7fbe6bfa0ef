"""What the daemon says, as bytes: every message it sends is a version 2 envelope of the producer ``headgate``.

Ids and times are arguments. Times are microseconds since the epoch.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Final

import orjson

from contracts.envelope import CURRENT_ENVELOPE
from contracts.errors import JsonObject, JsonValue, Problem
from contracts.gate.delivery import Delivery, Judged
from contracts.payloads.sent.outgoing import BodyEncoding
from contracts.values.times import format_micros

PRODUCER: Final = "headgate"
RECEIPT_KIND: Final = "receipt"
REPLY_KIND: Final = "reply"
DEAD_LETTER_KIND: Final = "dead_letter"
PULSE_KIND: Final = "pulse"
REDACTED: Final = "redacted"

_SCHEMA_VERSION: Final = "1.0"
_NEVER_STORED: Final = frozenset({"authorization"})
_NEVER_SHOWN: Final = frozenset({"authorization", "webhook-signature"})


def envelope(kind: str, payload: JsonObject, *, message_id: str, trace_id: str, now: int) -> bytes:
    """A message of the daemon's own."""
    return orjson.dumps(
        {
            "envelope_version": CURRENT_ENVELOPE,
            "kind": kind,
            "schema_version": _SCHEMA_VERSION,
            "message_id": message_id,
            "trace_id": trace_id,
            "created_at": format_micros(now),
            "producer": PRODUCER,
            "payload": payload,
        }
    )


def trace_or(trace_id: str | None, message_id: str) -> str:
    """The trace that a message belongs to; what belongs to none starts one under its own id, a UUID."""
    return trace_id or message_id


def event_kind(aggregate: str, event: str) -> str:
    """The kind of what is published on ``event.<aggregate>.<id>.<event>``."""
    return f"{aggregate}.{event}"


def receipt(
    judged: Judged,
    *,
    subject: str,
    status: int,
    outcome: str,
    error: JsonObject | None,
    message_id: str,
    trace_id: str,
    now: int,
) -> bytes:
    """What became of one delivery; ``subject`` is the one the producer published to, with the prefix."""
    payload: JsonObject = {
        "message_id": judged.message_id,
        "subject": subject,
        "stream_sequence": judged.delivery.sequence,
        "status": status,
        "outcome": outcome,
    }
    if error is not None:
        payload["error"] = error
    return envelope(RECEIPT_KIND, payload, message_id=message_id, trace_id=trace_id, now=now)


def reply(
    *,
    status: int,
    result: JsonValue,
    error: Problem | None,
    replayed: bool,
    message_id: str,
    trace_id: str,
    now: int,
) -> bytes:
    """The answer to a command: a result, or the problem under the trace of the request."""
    payload: JsonObject = {"status": status}
    if error is None:
        payload["result"] = result
    else:
        payload["error"] = error.traced(error.trace_id or (trace_id if trace_id != message_id else None)).as_json()
    if replayed:
        payload["replayed"] = True
    return envelope(REPLY_KIND, payload, message_id=message_id, trace_id=trace_id, now=now)


def dead_letter(
    dead_letter_id: str,
    problem: Problem,
    delivery: Delivery,
    *,
    subject: str,
    most_bytes: int,
    message_id: str,
    trace_id: str,
    now: int,
) -> bytes:
    """A refused message with its reason, its body byte for byte where all of it fits ``most_bytes``.

    Where it does not, ``body`` is null and ``body_encoding`` ``stored``; headers that are too large even so are left
    out. ``subject`` is the one that was published to, with the prefix.
    """
    origin: JsonObject = {
        "stream": delivery.stream,
        "subject": subject,
        "sequence": delivery.sequence,
        "delivered": delivery.delivered,
        "received_at": format_micros(delivery.stored_at),
    }

    def carrying(body: str | None, encoding: BodyEncoding, headers: JsonObject) -> bytes:
        payload: JsonObject = {
            "dead_letter_id": dead_letter_id,
            "error": problem.as_json(),
            "origin": {**origin, "headers": headers},
            "body": body,
            "body_encoding": str(encoding),
        }
        return envelope(DEAD_LETTER_KIND, payload, message_id=message_id, trace_id=trace_id, now=now)

    headers = shown(delivery.headers)
    if _written_bytes(delivery.body) <= most_bytes:
        whole = carrying(*readable(delivery.body), headers)
        if len(whole) <= most_bytes:
            return whole
    without_body = carrying(None, BodyEncoding.STORED, headers)
    return without_body if len(without_body) <= most_bytes else carrying(None, BodyEncoding.STORED, {})


def _written_bytes(body: bytes) -> int:
    """How many bytes a body takes within JSON at least: of one that is too large no copy is made in vain."""
    return len(body) + body.count(b'"') + body.count(b"\\")


def readable(body: bytes) -> tuple[str, BodyEncoding]:
    """A body as JSON can carry it without loss."""
    try:
        return body.decode(), BodyEncoding.UTF_8
    except UnicodeDecodeError:
        return b64encode(body).decode(), BodyEncoding.BASE64


def storable(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a dead letter's row keeps: all that a replay may need, but no credentials."""
    return {name: value for name, value in headers.items() if name.lower() not in _NEVER_STORED}


def shown(headers: Mapping[str, str]) -> dict[str, JsonValue]:
    """The headers as messages, answers and logs may tell them: secrets keep their name and lose their value."""
    return {name: REDACTED if name.lower() in _NEVER_SHOWN else value for name, value in headers.items()}
