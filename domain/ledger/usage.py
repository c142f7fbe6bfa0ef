"""What is kept of one report of use, and what it cost.

A reported cost counts as it came; what the price lists say stands beside it. Where no cost was reported and the tokens
and their price are known, the cost is derived and the unit prices are copied into the row: history is never priced anew
by accident. Where the price is unknown the cost stays empty, never zero, and the record says that it is *unpriced*.

| | cost reported | derived here | not known |
|---|---|---|---|
| ``cost_usd_micros`` | as reported | as computed | empty |
| ``pricing_version`` | as reported | the price list's | empty |
| ``cost_source``, ``cost_confidence`` | as reported | derived, medium | missing, unknown |
| ``computed_cost_usd_micros``, ``computed_pricing_version``, unit prices | where known | the same | empty |
"""

from typing import NamedTuple

from contracts.values.usage import Usage
from domain.ledger.pricing import MAX_COST_USD_MICROS, PriceBook, UnitPrices, derive_cost


class UsageRecord(NamedTuple):
    """One row of ``session_usage``; a tuple, for one is built for every message and a frozen dataclass costs more."""

    message_id: str
    session_id: str
    agent: str
    model: str
    at: int
    status: str
    input_tokens: int | None
    output_tokens: int | None
    runtime_ms: int | None
    cost_usd_micros: int | None
    computed_cost_usd_micros: int | None
    pricing_version: str | None
    input_price_usd_micros_per_mtok: int | None
    output_price_usd_micros_per_mtok: int | None
    computed_pricing_version: str | None
    tokens_source: str
    tokens_confidence: str
    runtime_source: str
    runtime_confidence: str
    cost_source: str
    cost_confidence: str
    trace_id: str
    producer: str
    created_at: int

    @property
    def price_unknown(self) -> bool:
        """Whether a cost would have been derived, had any list known the model's price at that time."""
        return (
            self.cost_usd_micros is None
            and self.input_price_usd_micros_per_mtok is None
            and (self.input_tokens is not None or self.output_tokens is not None)
        )


def decide_usage(
    facts: Usage, prices: PriceBook, message_id: str, trace_id: str, created_at: int, producer: str
) -> UsageRecord:
    """The row that is kept of a proven report."""
    input_tokens = facts.input_tokens
    output_tokens = facts.output_tokens
    known, computed = _listed(facts, prices)
    cost, version, source, confidence = _counted(facts, known, computed)
    provenance = facts.provenance
    tokens = provenance.tokens
    runtime = provenance.runtime
    if known is None:
        input_price = output_price = computed_version = None
    else:
        input_price = known.input_usd_micros_per_mtok
        output_price = known.output_usd_micros_per_mtok
        computed_version = known.version
    return UsageRecord(
        message_id,
        facts.session_id,
        facts.agent,
        facts.model,
        facts.at,
        facts.status,
        input_tokens,
        output_tokens,
        facts.runtime_ms,
        cost,
        computed,
        version,
        input_price,
        output_price,
        computed_version,
        tokens.source,
        tokens.confidence,
        runtime.source,
        runtime.confidence,
        source,
        confidence,
        trace_id,
        producer,
        created_at,
    )


def _counted(facts: Usage, known: UnitPrices | None, computed: int | None) -> tuple[int | None, str | None, str, str]:
    """The cost that counts, the version of the prices behind it, its source and its confidence."""
    if facts.cost_usd_micros is not None:
        reported = facts.provenance.cost
        return facts.cost_usd_micros, facts.pricing_version, reported.source, reported.confidence
    if known is not None and computed is not None:
        return computed, known.version, "derived", "medium"
    return None, None, "missing", "unknown"


def _listed(facts: Usage, prices: PriceBook) -> tuple[UnitPrices | None, int | None]:
    """The prices of the list in force, and the cost by them; neither where that is no amount of money that could be
    said, which is as good as no price."""
    input_tokens = facts.input_tokens
    output_tokens = facts.output_tokens
    if input_tokens is None and output_tokens is None:
        return None, None
    known = prices.find(facts.model, facts.at, input_tokens or 0)
    if known is None:
        return None, None
    computed = _computed_cost(known, input_tokens, output_tokens)
    if computed is not None and computed > MAX_COST_USD_MICROS:
        return None, None
    return known, computed


def _computed_cost(prices: UnitPrices, input_tokens: int | None, output_tokens: int | None) -> int | None:
    """The cost by the list; ``None`` where the tokens of a part that is not free are missing: half a cost is none."""
    if input_tokens is None:
        if prices.input_usd_micros_per_mtok:
            return None
        input_tokens = 0
    if output_tokens is None:
        if prices.output_usd_micros_per_mtok:
            return None
        output_tokens = 0
    return derive_cost(prices, input_tokens, output_tokens)
