"""What agents say of their sessions: what happened, and what it used and cost."""

from collections.abc import Sequence
from enum import StrEnum
from typing import ClassVar, Final

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from contracts.errors import JsonObject, JsonValue
from contracts.payloads.base import CLOSED, BrokenRule, Payload, RuledPayload
from contracts.values.money import usd_from_number
from contracts.values.types import Count, Data, DollarNumber, Identifier, Money, Name, Text, Timestamp
from contracts.values.usage import FigureProvenance, Usage
from contracts.values.usage import UsageProvenance as UsageValues


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


@dataclass(frozen=True, slots=True, config=CLOSED)
class Provenance:
    """How one figure is known."""

    source: Source
    confidence: Confidence


@dataclass(frozen=True, slots=True, config=CLOSED)
class UsageProvenance:
    """How each figure of a usage is known."""

    tokens: Provenance
    runtime: Provenance
    cost: Provenance


# Part of the provenance, and the one or two fields that hold its figure; the cost comes last.
_FIGURES: Final = (
    ("tokens", "input_tokens", "output_tokens"),
    ("runtime", "runtime_ms", "runtime_ms"),
    ("cost", "cost_usd", "cost_usd"),
)
# Compared with what came, once for each message: plain text, for an enum's member is looked up at every mention.
_MISSING: Final = str(Source.MISSING)
_HAVING_FIGURES: Final = (str(Source.PROVIDER_REPORTED), str(Source.DERIVED))
_FIGURE_PRESENT: Final = ("figure_present", "Source should not be missing where the figure is present")
_FIGURE_ABSENT: Final = ("figure_absent", "Source should be missing where the figure is absent")
_COST_UNPRICED: Final = BrokenRule(
    ("pricing_version",), "cost_unpriced", "A cost should have a pricing version, a source and a confidence"
)


def _schema_rules(schema: JsonObject) -> None:
    """The rules of :meth:`SessionUsage.broken_rules` in JSON Schema."""

    def given(field: str) -> JsonObject:
        return {"required": [field], "properties": {field: {"not": {"type": "null"}}}}

    def source_is(part: str, rule: JsonObject) -> JsonObject:
        within: JsonObject = {"type": "object", "properties": {"source": rule}}
        return {"properties": {"provenance": {"type": "object", "properties": {part: within}}}}

    def figure(part: str, field: str, other: str) -> JsonObject:
        return {
            "if": {"anyOf": [given(field), given(other)]},
            "then": source_is(part, {"not": {"const": "missing"}}),
            "else": source_is(part, {"const": "missing"}),
        }

    schema["allOf"] = [
        *(figure(*names) for names in _FIGURES),
        {"if": given("cost_usd"), "then": given("pricing_version")},
    ]


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
    def broken_rules(cls, raw: JsonObject) -> Sequence[BrokenRule]:
        """A source is missing exactly where its figure is absent; a cost has a pricing version and a provenance."""
        broken: list[BrokenRule] = []
        figures = raw.get("provenance")
        cost_source: JsonValue = None
        if isinstance(figures, dict):
            for part, field, other in _FIGURES:
                figure = figures.get(part)
                source = cost_source = figure.get("source") if isinstance(figure, dict) else None
                if source == _MISSING:
                    if raw.get(field) is not None or raw.get(other) is not None:
                        broken.append(BrokenRule(("provenance", part, "source"), *_FIGURE_PRESENT))
                elif raw.get(field) is None and raw.get(other) is None and source in _HAVING_FIGURES:
                    broken.append(BrokenRule(("provenance", part, "source"), *_FIGURE_ABSENT))
        if raw.get("cost_usd") is not None and (
            raw.get("pricing_version") is None or cost_source not in _HAVING_FIGURES
        ):
            broken.append(_COST_UNPRICED)
        return broken


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


def usage_from_2(payload: SessionUsage) -> Usage:
    """The value that both schemas are adapted to."""
    given = payload.provenance
    return Usage(
        payload.session_id,
        payload.agent,
        payload.model,
        payload.at,
        payload.status.value,
        payload.input_tokens,
        payload.output_tokens,
        payload.runtime_ms,
        payload.cost_usd_micros,
        payload.pricing_version,
        UsageValues(_figure(given.tokens), _figure(given.runtime), _figure(given.cost)),
    )


def _figure(provenance: Provenance) -> FigureProvenance:
    return FigureProvenance(provenance.source.value, provenance.confidence.value)


_REPORTED_ONCE: Final = FigureProvenance("provider_reported", "low")
_NEVER_REPORTED: Final = FigureProvenance("missing", "low")
_LEGACY_PROVENANCE: Final = {
    present: UsageValues(_REPORTED_ONCE, _REPORTED_ONCE, _REPORTED_ONCE if present else _NEVER_REPORTED)
    for present in (True, False)
}
LEGACY_PRICING: Final = "legacy"


def usage_from_1(old: SessionUsage1) -> Usage:
    """1.0 in the words of 2.0: nothing is known of where its figures came from but that they were given."""
    return Usage(
        old.session_id,
        old.agent,
        old.model,
        old.timestamp,
        old.status.value,
        old.tokens_in,
        old.tokens_out,
        old.runtime_ms,
        None if old.cost is None else usd_from_number(old.cost),
        LEGACY_PRICING,
        _LEGACY_PROVENANCE[old.cost is not None],
    )
