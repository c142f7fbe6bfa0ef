"""Instants at the border: RFC 3339 text outside, integer microseconds since the epoch (UTC) inside."""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

MICROS_PER_SECOND: Final = 1_000_000
MICROS_PER_DAY: Final = 86_400 * MICROS_PER_SECOND

# The offset is optional here so that its absence is told apart from text that is no time at all.
_RFC3339: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)?".replace(r"\d", "[0-9]")
)
_SECOND: Final = 17
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_IN_UTC: Final = _EPOCH.replace(tzinfo=None)
_FIRST: Final = -62_135_596_800 * MICROS_PER_SECOND  # 0001-01-01T00:00:00Z
_LAST: Final = 253_402_300_800 * MICROS_PER_SECOND - 1  # 9999-12-31T23:59:59.999999Z


class NotAnInstant(ValueError):
    """The text is no RFC 3339 date and time, or one outside the years 1 to 9999 UTC."""


class OffsetMissing(NotAnInstant):
    """The text would be an instant if it had an offset from UTC."""


def parse_micros(text: str) -> int:
    """Read RFC 3339 text with an offset; digits beyond the microsecond are cut off. A leap second is one only at the
    end of a day in UTC, and is kept as the microsecond before midnight.

    Raises :class:`NotAnInstant`, or :class:`OffsetMissing` where only the offset is lacking.
    """
    if _RFC3339.fullmatch(text) is None:
        text = text.upper()  # the grammar's letters may be in either case
        if _RFC3339.fullmatch(text) is None:
            raise NotAnInstant
    leap = text.startswith("60", _SECOND)
    try:
        moment = datetime.fromisoformat(f"{text[:_SECOND]}59{text[_SECOND + 2 :]}" if leap else text)
    except ValueError:
        raise NotAnInstant from None  # a 30 February; the library's sentence repeats the digits
    if moment.tzinfo is None:
        raise OffsetMissing
    since = moment - _EPOCH
    micros = (since.days * 86_400 + since.seconds) * MICROS_PER_SECOND + since.microseconds
    if leap:
        micros = _before_midnight(micros)
    if not _FIRST <= micros <= _LAST:
        raise NotAnInstant
    return micros


def _before_midnight(micros: int) -> int:
    """The last microsecond of the day in whose last second *micros* lies: what a leap second is kept as."""
    midnight = -(-micros // MICROS_PER_DAY) * MICROS_PER_DAY
    if midnight - micros > MICROS_PER_SECOND:
        raise NotAnInstant
    return midnight - 1


@lru_cache(maxsize=1_024)
def format_micros(micros: int) -> str:
    """The one written form: UTC, always six decimal places, so that texts sort as their instants do."""
    # Without a time zone to format it takes half the time; and the same few instants stand in all that a batch tells.
    return f"{(_EPOCH_IN_UTC + timedelta(microseconds=micros)).isoformat(timespec='microseconds')}Z"


@lru_cache(maxsize=1_024)
def day_text(number: int) -> str:
    """``YYYY-MM-DD`` of a day counted from the epoch."""
    return (_EPOCH_IN_UTC + timedelta(days=number)).date().isoformat()


def day_number(text: str) -> int:
    """The day of ``YYYY-MM-DD``, counted from the epoch."""
    return (datetime.fromisoformat(text) - _EPOCH_IN_UTC).days
