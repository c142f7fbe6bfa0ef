"""What a request costs, in whole micro-dollars.

Prices are whole micro-dollars for a million tokens, so a cost is one integer division: nothing is lost to floating
point, and nothing is paid for arbitrary precision on the way of every message.
"""

from typing import Final, Protocol

from contracts.values.money import MAX_DOLLARS, MICROS_PER_DOLLAR
from contracts.values.prices import UnitPrices

__all__ = ["MAX_COST_USD_MICROS", "PriceBook", "UnitPrices", "derive_cost"]

TOKENS_PER_PRICE: Final = 1_000_000
HALF: Final = TOKENS_PER_PRICE // 2

MAX_COST_USD_MICROS: Final = MAX_DOLLARS * MICROS_PER_DOLLAR - 1
"""The largest amount that the money format can say: twelve digits before the point and six behind it."""


class PriceBook(Protocol):
    """Knows what the tokens of a model cost, now and in the past."""

    def find(self, model: str, at: int, input_tokens: int) -> UnitPrices | None:
        """The prices of *model* at *at* (microseconds since the epoch, UTC), or ``None`` where no list knows them.

        ``input_tokens`` chooses the tier of models whose price depends on the length of the request.
        """
        ...


def derive_cost(prices: UnitPrices, input_tokens: int, output_tokens: int) -> int:
    """The cost of a request in micro-dollars, rounded once, half to even."""
    cost, rest = divmod(
        input_tokens * prices.input_usd_micros_per_mtok + output_tokens * prices.output_usd_micros_per_mtok,
        TOKENS_PER_PRICE,
    )
    if rest > HALF or (rest == HALF and cost & 1):
        return cost + 1
    return cost
