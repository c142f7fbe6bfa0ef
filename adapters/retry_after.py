"""When another side asks to be asked again: the header ``Retry-After``, as seconds or as a date."""

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """In how many seconds; None where the header is absent or says nothing that can be read."""
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - now).total_seconds())
