"""Instants at the border: RFC 3339 text outside, integer microseconds since the epoch (UTC) inside."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

MICROS_PER_SECOND: Final = 1_000_000
MICROS_PER_DAY: Final = 86_400 * MICROS_PER_SECOND

# The offset is optional here so that its absence is told apart from text that is no time at all.
_RFC3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = -62_135_596_800 * MICROS_PER_SECOND  # 0001-01-01T00:00:00Z
_LAST: Final = 253_402_300_800 * MICROS_PER_SECOND - 1  # 9999-12-31T23:59:59.999999Z


class NotAnInstant(ValueError):
    """The text is no RFC 3339 date and time, or one outside the years 1 to 9999 UTC."""


class OffsetMissing(NotAnInstant):
    """The text would be an instant if it had an offset from UTC."""


def parse_micros(text: str) -> int:
    """Read RFC 3339 text with an offset; digits beyond the microsecond are cut off.

    Raises :class:`NotAnInstant`, or :class:`OffsetMissing` where only the offset is lacking.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        text = text.upper()  # the grammar's letters may be in either case
        match = _RFC3339.fullmatch(text)
        if match is None:
            raise NotAnInstant
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise NotAnInstant from None  # a 30 February; the library's sentence repeats the digits
    if match[1] is None:
        raise OffsetMissing
    micros = _micros(moment)
    if not _FIRST <= micros <= _LAST:
        raise NotAnInstant
    return micros


def _micros(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * MICROS_PER_SECOND + since.microseconds


def format_micros(micros: int) -> str:
    """The one written form: UTC, always six decimal places, so that texts sort as their instants do."""
    return (_EPOCH + timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%S.%fZ").rjust(27, "0")
