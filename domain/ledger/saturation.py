"""Totals stay at the largest number of 64 bits where they would pass it: no message fails for what others add up to."""

from collections.abc import Iterable
from typing import Final

MAX_TOTAL: Final = 2**63 - 1


def within_64_bits(figures: Iterable[int]) -> tuple[int, ...]:
    """The figures, none of them beyond the largest."""
    kept = tuple(figures)
    return kept if max(kept, default=0) <= MAX_TOTAL else tuple(min(figure, MAX_TOTAL) for figure in kept)
