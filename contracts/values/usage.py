"""One report of use, as all that handle it know it: whatever schema it came in."""

from typing import Literal, TypeAlias

from msgspec import Struct

SourceWord: TypeAlias = Literal["provider_reported", "derived", "missing"]
ConfidenceWord: TypeAlias = Literal["high", "medium", "low", "unknown"]
StatusWord: TypeAlias = Literal["ok", "error"]


class FigureProvenance(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Where one figure comes from, and how far it is to be trusted."""

    source: SourceWord
    confidence: ConfidenceWord


class UsageProvenance(Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """The provenance of the three figures of a report."""

    tokens: FigureProvenance
    runtime: FigureProvenance
    cost: FigureProvenance


class Usage(Struct, frozen=True, gc=False):
    """A proven report of use: ``at`` in microseconds since the epoch, ``cost_usd_micros`` in micro-dollars."""

    session_id: str
    agent: str
    model: str
    at: int
    status: StatusWord
    input_tokens: int | None
    output_tokens: int | None
    runtime_ms: int | None
    cost_usd_micros: int | None
    pricing_version: str | None
    provenance: UsageProvenance
