"""The envelopes around payloads: version 2, the current one, and version 1, whose kind and key lie outside the body."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from contracts.payloads.base import Payload
from contracts.values.types import MessageId, Producer, SchemaVersion, Timestamp, TraceId

ENVELOPE_VERSIONS: Final = (1, 2)
CURRENT_ENVELOPE: Final = 2
UNKNOWN_PRODUCER: Final = "unknown"
"""The producer of messages whose envelope names none."""


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class _Head1(_Head):
    """Version 1: the kind comes from the subject, the message id from ``Nats-Msg-Id`` or the payload's hash."""

    envelope_version: Literal[1]
    schema_version: SchemaVersion
    trace_id: TraceId
    created_at: Timestamp


class _Head2(_Head):
    """Version 2: everything a message is known by stands in the body."""

    envelope_version: Literal[2]
    kind: MessageId
    schema_version: SchemaVersion
    message_id: MessageId
    trace_id: TraceId
    created_at: Timestamp
    producer: Producer


class Envelope1(_Head1):
    """Version 1 around a payload that is not looked into."""

    payload: dict[str, object]


class Envelope2(_Head2):
    """Version 2 around a payload that is not looked into."""

    payload: dict[str, object]


class Proven1(_Head1):
    """Version 1 with its payload as a model; the registry makes one for each schema."""

    payload: Payload


class Proven2(_Head2):
    """Version 2 with its payload as a model; the registry makes one for each schema."""

    payload: Payload


ENVELOPE_FIELDS: Final = frozenset(Envelope1.model_fields) | frozenset(Envelope2.model_fields)
