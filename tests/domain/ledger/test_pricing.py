"""A cost is whole micro-dollars, rounded once, half to even."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger.pricing import UnitPrices, derive_cost

TOKENS = st.integers(0, 2**53 - 1)
PRICE = st.integers(0, 10**12)


@pytest.mark.parametrize(
    ("input_tokens", "output_tokens", "input_price", "output_price", "cost"),
    [
        (0, 0, 2_500_000, 10_000_000, 0),
        (1_000_000, 0, 2_500_000, 10_000_000, 2_500_000),
        (1_200, 300, 2_500_000, 10_000_000, 6_000),
        (1, 0, 500_000, 0, 0),  # 0.5 goes to the even 0
        (3, 0, 500_000, 0, 2),  # 1.5 goes to the even 2
        (5, 0, 500_000, 0, 2),  # 2.5 goes to the even 2
        (1, 0, 500_001, 0, 1),
        (1, 1, 250_000, 250_000, 0),  # rounded once, not part by part
        (1, 1, 400_000, 400_000, 1),
    ],
)
def test_a_cost_is_rounded_half_to_even(
    input_tokens: int, output_tokens: int, input_price: int, output_price: int, cost: int
) -> None:
    assert derive_cost(UnitPrices(input_price, output_price, "v"), input_tokens, output_tokens) == cost


@given(TOKENS, TOKENS, PRICE, PRICE)
def test_a_cost_is_what_exact_arithmetic_rounds_to(
    input_tokens: int, output_tokens: int, input_price: int, output_price: int
) -> None:
    exact = Fraction(input_tokens * input_price + output_tokens * output_price, 1_000_000)
    assert derive_cost(UnitPrices(input_price, output_price, "v"), input_tokens, output_tokens) == round(exact)
