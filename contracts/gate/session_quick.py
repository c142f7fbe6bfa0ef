"""A quick proof for session.usage 2.0, the kind that comes by the thousand.

It takes only what the pydantic models take, and the facts it gives are the same (a property test holds both). Whatever
it does not take, for whichever reason, goes the way of the models, which alone say what is wrong. A proof by compiled
structs costs a third of one by models; measured for a message of 600 bytes: 3 microseconds against 9.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from contracts.errors import JsonObject
from contracts.values.money import NotMoney, parse_usd
from contracts.values.times import NotAnInstant, parse_micros
from contracts.values.types import MAX_COUNT

# Python's ``$`` also matches before a newline at the end: ``\Z`` does not.
_MessageId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,200}\Z")]
_Identifier = Annotated[str, Meta(max_length=200, pattern=r"^[A-Za-z0-9_:-]+(?:\.[A-Za-z0-9_:-]+)*\Z")]
_TraceId = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")]
_Name = Annotated[str, Meta(min_length=1, max_length=200)]
_Producer = Annotated[str, Meta(min_length=1, max_length=100)]
_Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]


class QuickProvenance(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How one figure is known."""

    source: Literal["provider_reported", "derived", "missing"]
    confidence: Literal["high", "medium", "low", "unknown"]

    def fits(self, present: bool) -> bool:
        """Whether the source is missing exactly where the figure is absent."""
        return (self.source == "missing") is not present


class QuickUsageProvenance(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How each figure of a usage is known."""

    tokens: QuickProvenance
    runtime: QuickProvenance
    cost: QuickProvenance


class _WireUsage(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    session_id: _Identifier
    agent: _Identifier
    model: _Name
    at: str
    status: Literal["ok", "error"]
    provenance: QuickUsageProvenance
    input_tokens: _Count | None = None
    output_tokens: _Count | None = None
    runtime_ms: _Count | None = None
    cost_usd: str | None = None
    pricing_version: _Name | None = None


class _WireEnvelope(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    envelope_version: Literal[2]
    kind: Literal["session.usage"]
    schema_version: Literal["2.0"]
    message_id: _MessageId
    trace_id: _TraceId
    created_at: str
    producer: _Producer
    payload: _WireUsage


class QuickUsage(Struct, frozen=True, gc=False):
    """The facts of a session.usage 2.0: ``at`` in microseconds since the epoch, the cost in micro-dollars."""

    session_id: str
    agent: str
    model: str
    at: int
    status: str
    input_tokens: int | None
    output_tokens: int | None
    runtime_ms: int | None
    cost_usd_micros: int | None
    pricing_version: str | None
    provenance: QuickUsageProvenance


class QuickEnvelope(Struct, frozen=True, gc=False):
    """A proven envelope of version 2, with the fields that the models' one has."""

    message_id: str
    trace_id: str
    created_at: int
    producer: str
    payload: QuickUsage
    schema_version: str = "2.0"
    envelope_version: int = 2


def prove_usage(envelope: JsonObject) -> QuickEnvelope | None:
    """The proof of an envelope as it was read; None where it takes the models to judge."""
    try:
        wire = msgspec.convert(envelope, _WireEnvelope)
        usage = _facts(wire.payload)
        created_at = parse_micros(wire.created_at)
    except (msgspec.ValidationError, NotAnInstant, NotMoney):
        return None
    # Every character that ``isprintable`` takes is printable to the models too; not the other way round.
    if usage is None or not wire.producer.isprintable():
        return None
    return QuickEnvelope(wire.message_id, wire.trace_id, created_at, wire.producer, usage)


def _facts(wire: _WireUsage) -> QuickUsage | None:
    provenance, cost = wire.provenance, wire.cost_usd
    version = wire.pricing_version
    if not (
        provenance.tokens.fits(wire.input_tokens is not None or wire.output_tokens is not None)
        and provenance.runtime.fits(wire.runtime_ms is not None)
        and provenance.cost.fits(cost is not None)
        and (cost is None or version is not None)
        and wire.model.isprintable()
        and (version is None or version.isprintable())
    ):
        return None
    return QuickUsage(
        wire.session_id,
        wire.agent,
        wire.model,
        parse_micros(wire.at),
        wire.status,
        wire.input_tokens,
        wire.output_tokens,
        wire.runtime_ms,
        None if cost is None else parse_usd(cost),
        version,
        provenance,
    )
