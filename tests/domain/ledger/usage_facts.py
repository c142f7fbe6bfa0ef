"""Proven reports and events as plain values, and a price book of a dictionary."""

from dataclasses import dataclass, field

from contracts.values.usage import ConfidenceWord, FigureProvenance, SourceWord, StatusWord, UsageProvenance
from contracts.values.usage import Usage as UsageValue
from domain.ledger.pricing import UnitPrices


class Figure(FigureProvenance, frozen=True):
    source: SourceWord = "provider_reported"
    confidence: ConfidenceWord = "high"


class Provenance(UsageProvenance, frozen=True):
    tokens: FigureProvenance = Figure()
    runtime: FigureProvenance = Figure()
    cost: FigureProvenance = Figure("missing", "unknown")


class Usage(UsageValue, frozen=True):
    session_id: str = "s-1"
    agent: str = "planner"
    model: str = "known"
    at: int = 1_763_700_000_000_000
    status: StatusWord = "ok"
    input_tokens: int | None = 1_000
    output_tokens: int | None = 500
    runtime_ms: int | None = 1_200
    cost_usd_micros: int | None = None
    pricing_version: str | None = None
    provenance: UsageProvenance = Provenance()


@dataclass(frozen=True, slots=True)
class Event:
    session_id: str = "s-1"
    agent: str = "planner"
    type: str = "heartbeat"
    at: int = 1_763_700_000_000_000
    model: str | None = None


@dataclass(slots=True)
class Book:
    """Knows each model's price from a time on."""

    prices: dict[str, UnitPrices]
    since: int = 0
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    def find(self, model: str, at: int, input_tokens: int) -> UnitPrices | None:
        self.asked.append((model, at, input_tokens))
        return self.prices.get(model) if at >= self.since else None
