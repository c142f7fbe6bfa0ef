"""How figures are shown: each with what of it is reported, what derived, and of how many requests it is missing."""

from contracts.errors import JsonObject
from contracts.values.money import format_usd


def known_cost(cost_usd_micros: int, requests_with_cost: int) -> str | None:
    """The sum of what is known; null where nothing has a cost, for what is unpriced is not free."""
    return format_usd(cost_usd_micros) if requests_with_cost > 0 else None


def tokens_provenance(reported: int, derived: int, missing_count: int) -> JsonObject:
    return {"reported": reported, "derived": derived, "missing_count": missing_count}


def cost_provenance(reported_usd_micros: int, derived_usd_micros: int, missing_count: int) -> JsonObject:
    return {
        "reported": format_usd(reported_usd_micros),
        "derived": format_usd(derived_usd_micros),
        "missing_count": missing_count,
    }
