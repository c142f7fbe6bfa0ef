"""Usage records as a producer writes them to files."""

import json
import uuid
from pathlib import Path

from tests.support.records.envelopes import enveloped

Json = dict[str, object]


def payload(number: int, **changed: object) -> Json:
    """A ``session.usage`` 2.0 payload; *changed* fields are laid over it."""
    reported = {"source": "provider_reported", "confidence": "high"}
    missing = {"source": "missing", "confidence": "unknown"}
    return {
        "session_id": f"session-{number // 10}",
        "agent": "writer",
        "model": "gpt-4o",
        "at": f"2026-11-0{1 + number % 9}T10:15:30Z",
        "status": "ok",
        "input_tokens": number,
        "output_tokens": 2 * number,
        "provenance": {"tokens": reported, "runtime": missing, "cost": missing},
        **changed,
    }


def envelope(message_id: str, number: int = 1, /, **changed: object) -> Json:
    """A version 2 envelope around it; *changed* fields of the payload are laid over it."""
    return enveloped(
        "session.usage",
        payload(number, **changed),
        schema_version="2.0",
        message_id=message_id,
        created_at="2026-11-20T10:15:30.123Z",
        producer="writer-1",
    )


def envelope_1(number: int = 1, /, **changed: object) -> Json:
    """A version 1 envelope around it."""
    return {
        "envelope_version": 1,
        "schema_version": "2.0",
        "trace_id": str(uuid.uuid4()),
        "created_at": "2026-11-20T10:15:30.123Z",
        "payload": payload(number, **changed),
    }


def lines(*records: object) -> str:
    """JSON Lines; text goes in as it is."""
    return "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)


def many(path: Path, count: int, prefix: str) -> Path:
    """A file of *count* envelopes with message ids of *prefix*."""
    path.write_text(lines(*(envelope(f"{prefix}:{number}", number) for number in range(count))))
    return path
