"""Envelopes around payloads of every kind."""

import uuid
from datetime import UTC, datetime
from typing import Any


def enveloped(kind: str, payload: object, /, *, message_id: str | None = None, **fields: object) -> dict[str, Any]:
    """Version 2, of now, with ids of its own; *fields* are laid over it."""
    return {
        "envelope_version": 2,
        "kind": kind,
        "schema_version": "1.0",
        "message_id": message_id or str(uuid.uuid4()),
        "trace_id": str(uuid.uuid4()),
        "created_at": datetime.now(UTC).isoformat(),
        "producer": "tester",
        "payload": payload,
        **fields,
    }
