"""Money at the border: decimal strings in USD outside, integer micro-dollars inside."""

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

MICROS_PER_DOLLAR: Final = 1_000_000
MONEY_PATTERN: Final = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"
MAX_DOLLARS: Final = 10**12
MAX_MICROS: Final = MAX_DOLLARS * MICROS_PER_DOLLAR - 1
"""The largest amount that can be written: sums that pass it could neither be told nor, soon, be stored."""

_MONEY: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,6}))?")


class NotMoney(ValueError):
    """The text is no amount of at most twelve digits before and six after the point."""


def parse_usd(text: str) -> int:
    """Read a decimal string in USD as micro-dollars; raises :class:`NotMoney`."""
    match = _MONEY.fullmatch(text)
    if match is None:
        raise NotMoney
    dollars, fraction = match.groups("")
    return int(dollars + fraction.ljust(6, "0"))


def format_usd(micros: int) -> str:
    """The one written form: always six decimal places."""
    sign = "-" if micros < 0 else ""
    dollars, fraction = divmod(abs(micros), MICROS_PER_DOLLAR)
    return f"{sign}{dollars}.{fraction:06d}"


def usd_from_number(number: float) -> int:
    """A finite JSON number of dollars as micro-dollars, rounded half to even.

    What is rounded is the decimal that was written, not its nearest binary fraction: 0.0000035 is exactly half way.
    """
    return int((Decimal(repr(number)) * MICROS_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))
