"""What the daemon says, as bytes: every message it sends is a version 2 envelope of the producer ``headgate``."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from contracts.delivery import Delivery, Judged
from contracts.envelope import CURRENT_ENVELOPE
from contracts.errors import JsonObject, JsonValue, Problem
from contracts.payloads.outgoing import BodyEncoding
from contracts.subjects import Subjects
from contracts.times import format_micros

PRODUCER: Final = "headgate"
RECEIPT_KIND: Final = "receipt"
REPLY_KIND: Final = "reply"
DEAD_LETTER_KIND: Final = "dead_letter"
REDACTED: Final = "redacted"

_SCHEMA_VERSION: Final = "1.0"
_SECRET_HEADERS: Final = frozenset({"authorization", "webhook-signature"})


def envelope(kind: str, payload: JsonObject, *, message_id: str, trace_id: str | None, created_at: int) -> bytes:
    """A message of the daemon's own; one that belongs to no trace starts its own, under ``message_id`` (a UUID)."""
    return orjson.dumps(
        {
            "envelope_version": CURRENT_ENVELOPE,
            "kind": kind,
            "schema_version": _SCHEMA_VERSION,
            "message_id": message_id,
            "trace_id": trace_id or message_id,
            "created_at": format_micros(created_at),
            "producer": PRODUCER,
            "payload": payload,
        }
    )


class Answer(Protocol):
    """What a command came to."""

    @property
    def status(self) -> int: ...
    @property
    def result(self) -> JsonValue: ...
    @property
    def problem(self) -> Problem | None: ...
    @property
    def replayed(self) -> bool: ...


def reply_payload(answer: Answer, trace_id: str | None) -> JsonObject:
    """A result, or the problem under the trace id of the request."""
    payload: JsonObject = {"status": answer.status}
    if answer.problem is None:
        payload["result"] = answer.result
    else:
        payload["error"] = answer.problem.traced(answer.problem.trace_id or trace_id).as_json()
    if answer.replayed:
        payload["replayed"] = True
    return payload


def receipt_payload(
    judged: Judged, status: int, outcome: str, error: JsonObject | None, subjects: Subjects
) -> JsonObject:
    """What became of one delivery; its subject as the producer knows it."""
    payload: JsonObject = {
        "message_id": judged.message_id,
        "subject": subjects.full(judged.delivery.subject),
        "stream_sequence": judged.delivery.sequence,
        "status": status,
        "outcome": outcome,
    }
    if error is not None:
        payload["error"] = error
    return payload


@dataclass(frozen=True, slots=True)
class Outgoings:
    """Builds the answers of one installation. ``clock`` gives microseconds since the epoch."""

    subjects: Subjects
    new_id: Callable[[], str]
    clock: Callable[[], int]

    def receipt(self, judged: Judged, status: int, outcome: str, error: JsonObject | None) -> bytes:
        payload = receipt_payload(judged, status, outcome, error, self.subjects)
        return self._envelope(RECEIPT_KIND, payload, _trace_of(judged))

    def reply(self, answer: Answer, trace_id: str | None) -> bytes:
        return self._envelope(REPLY_KIND, reply_payload(answer, trace_id), trace_id)

    def _envelope(self, kind: str, payload: JsonObject, trace_id: str | None) -> bytes:
        return envelope(kind, payload, message_id=self.new_id(), trace_id=trace_id, created_at=self.clock())


def receipt_body(
    judged: Judged,
    status: int,
    outcome: str,
    error: JsonObject | None,
    *,
    message_id: str,
    now: int,
    prefix: str,
) -> bytes:
    """A receipt as bytes, where the caller gives id and time itself."""
    return Outgoings(Subjects(prefix), lambda: message_id, lambda: now).receipt(judged, status, outcome, error)


def _trace_of(judged: Judged) -> str | None:
    return judged.problem.trace_id if hasattr(judged, "problem") else judged.trace_id


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as they may be shown: secrets keep their name and lose their value."""
    return {name: REDACTED if name.lower() in _SECRET_HEADERS else value for name, value in headers.items()}


def dead_letter_body(
    delivery: Delivery, error: JsonObject, *, dead_letter_id: str, message_id: str, now: int, max_bytes: int, prefix: str
) -> bytes:
    """A refused message with its reason, byte for byte where it fits ``max_bytes``.

    Where it does not, ``body`` is null and ``body_encoding`` ``stored``; headers that alone are too large go as well.
    """
    subjects = Subjects(prefix)
    trace_id = error.get("trace_id")

    def written(body: str | None, encoding: BodyEncoding, headers: dict[str, str]) -> bytes:
        payload: JsonObject = {
            "dead_letter_id": dead_letter_id,
            "error": error,
            "origin": _origin(delivery, headers, subjects),
            "body": body,
            "body_encoding": str(encoding),
        }
        trace = trace_id if isinstance(trace_id, str) else None
        return envelope(DEAD_LETTER_KIND, payload, message_id=message_id, trace_id=trace, created_at=now)

    shown = redacted(delivery.headers)
    for body, encoding, headers in (
        (*readable(delivery.body), shown),
        (None, BodyEncoding.STORED, shown),
    ):
        message = written(body, encoding, headers)
        if len(message) <= max_bytes:
            return message
    return written(None, BodyEncoding.STORED, {})


def readable(body: bytes) -> tuple[str, BodyEncoding]:
    """A body as JSON can carry it without loss."""
    try:
        return body.decode(), BodyEncoding.UTF_8
    except UnicodeDecodeError:
        return b64encode(body).decode(), BodyEncoding.BASE64


def _origin(delivery: Delivery, headers: dict[str, str], subjects: Subjects) -> JsonObject:
    return {
        "stream": delivery.stream,
        "subject": subjects.full(delivery.subject),
        "sequence": delivery.sequence,
        "delivered": delivery.delivered,
        "received_at": format_micros(delivery.stored_at),
        "headers": dict(headers),
    }
