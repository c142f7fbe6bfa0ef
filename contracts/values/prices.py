"""What a model's tokens cost at one moment: a plain value that the rules and the price lists share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnitPrices:
    """Prices in micro-dollars for a million tokens, and the version of the price list that says so."""

    input_usd_micros_per_mtok: int
    output_usd_micros_per_mtok: int
    version: str
