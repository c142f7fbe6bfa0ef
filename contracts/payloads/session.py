"""What agents say of their sessions: what happened, and what it used and cost."""

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar, Final

from pydantic import ConfigDict, Field

from contracts.errors import JsonObject, JsonValue
from contracts.money import usd_from_number
from contracts.payloads.base import BrokenRule, Payload, RuledPayload
from contracts.types import Count, Data, DollarNumber, Identifier, Money, Name, Text, Timestamp


class SessionEventType(StrEnum):
    STARTED = "started"
    HEARTBEAT = "heartbeat"
    MESSAGE = "message"
    TOOL_CALL = "tool_call"
    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"


class UsageStatus(StrEnum):
    OK = "ok"
    ERROR = "error"


class Source(StrEnum):
    """Where a figure comes from; ``missing`` exactly where there is no figure."""

    PROVIDER_REPORTED = "provider_reported"
    DERIVED = "derived"
    MISSING = "missing"


class Confidence(StrEnum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"


class SessionEvent(Payload):
    """session.event 1.0"""

    may_hold_nul: ClassVar[frozenset[str]] = frozenset({"text", "data"})

    session_id: Identifier
    agent: Identifier
    type: SessionEventType
    at: Timestamp
    model: Name | None = None
    text: Text | None = None
    data: Data | None = None


class Provenance(Payload):
    """How one figure is known."""

    source: Source
    confidence: Confidence


class UsageProvenance(Payload):
    """How each figure of a usage is known."""

    tokens: Provenance
    runtime: Provenance
    cost: Provenance


_SOURCES_OF_FIGURES: Final = (Source.PROVIDER_REPORTED, Source.DERIVED)


def _schema_rules(schema: JsonObject) -> None:
    """The rules of :meth:`SessionUsage.broken_rules` in JSON Schema."""

    def given(field: str) -> JsonObject:
        return {"required": [field], "properties": {field: {"not": {"type": "null"}}}}

    def source_is(part: str, rule: JsonObject) -> JsonObject:
        return {"properties": {"provenance": {"properties": {part: {"properties": {"source": rule}}}}}}

    def figure(part: str, fields: tuple[str, ...]) -> JsonObject:
        return {
            "if": {"anyOf": [given(field) for field in fields]},
            "then": source_is(part, {"not": {"const": "missing"}}),
            "else": source_is(part, {"const": "missing"}),
        }

    schema["allOf"] = [
        *(figure(part, fields) for part, fields in _FIGURES),
        {"if": given("cost_usd"), "then": given("pricing_version")},
    ]


_FIGURES: Final = (
    ("tokens", ("input_tokens", "output_tokens")),
    ("runtime", ("runtime_ms",)),
    ("cost", ("cost_usd",)),
)


class SessionUsage(RuledPayload):
    """session.usage 2.0, the newest. Of two token counts one may be unknown: then the figure is there in part."""

    model_config = ConfigDict(json_schema_extra=_schema_rules)

    session_id: Identifier
    agent: Identifier
    model: Name
    at: Timestamp
    status: UsageStatus
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    runtime_ms: Count | None = None
    cost_usd_micros: Money | None = Field(default=None, alias="cost_usd")
    pricing_version: Name | None = None
    provenance: UsageProvenance

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Iterable[BrokenRule]:
        """A source is missing exactly where its figure is absent; a cost has a pricing version and a provenance."""
        broken: list[BrokenRule] = []
        parts = raw.get("provenance")
        for part, fields in _FIGURES:
            present = raw.get(fields[0]) is not None or (len(fields) > 1 and raw.get(fields[1]) is not None)
            source = _source(parts, part)
            if present and source == Source.MISSING:
                broken.append(BrokenRule(("provenance", part, "source"), *_FIGURE_PRESENT))
            elif not present and source in _SOURCES_OF_FIGURES:
                broken.append(BrokenRule(("provenance", part, "source"), *_FIGURE_ABSENT))
        if raw.get("cost_usd") is not None and (
            raw.get("pricing_version") is None or _source(parts, "cost") not in _SOURCES_OF_FIGURES
        ):
            broken.append(BrokenRule(("pricing_version",), *_COST_UNPRICED))
        return broken


_FIGURE_PRESENT: Final = ("figure_present", "Source should not be missing where the figure is present")
_FIGURE_ABSENT: Final = ("figure_absent", "Source should be missing where the figure is absent")
_COST_UNPRICED: Final = ("cost_unpriced", "A cost should have a pricing version, a source and a confidence")


def _source(provenance: JsonValue, part: str) -> JsonValue:
    figure = provenance.get(part) if isinstance(provenance, dict) else None
    return figure.get("source") if isinstance(figure, dict) else None


class SessionUsage1(Payload):
    """session.usage 1.0: no provenance, the cost a JSON number."""

    session_id: Identifier
    agent: Identifier
    model: Name
    timestamp: Timestamp
    tokens_in: Count
    tokens_out: Count
    runtime_ms: Count
    cost: DollarNumber | None = None
    status: UsageStatus


_REPORTED_ONCE: Final = Provenance(source=Source.PROVIDER_REPORTED, confidence=Confidence.LOW)
_NEVER_REPORTED: Final = Provenance(source=Source.MISSING, confidence=Confidence.LOW)
_LEGACY_PROVENANCE: Final = {
    present: UsageProvenance(
        tokens=_REPORTED_ONCE, runtime=_REPORTED_ONCE, cost=_REPORTED_ONCE if present else _NEVER_REPORTED
    )
    for present in (True, False)
}
LEGACY_PRICING: Final = "legacy"


def usage_from_1(old: SessionUsage1) -> SessionUsage:
    """1.0 in the words of 2.0: nothing is known of where its figures came from but that they were given."""
    return SessionUsage.model_construct(
        session_id=old.session_id,
        agent=old.agent,
        model=old.model,
        at=old.timestamp,
        status=old.status,
        input_tokens=old.tokens_in,
        output_tokens=old.tokens_out,
        runtime_ms=old.runtime_ms,
        cost_usd_micros=None if old.cost is None else usd_from_number(old.cost),
        pricing_version=LEGACY_PRICING,
        provenance=_LEGACY_PROVENANCE[old.cost is not None],
    )
