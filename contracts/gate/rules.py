"""What an installation decides about the gate."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum

from contracts.values.times import MICROS_PER_DAY, MICROS_PER_SECOND


class Mode(StrEnum):
    """``compat`` also reads what came before envelopes had a version."""

    STRICT = "strict"
    COMPAT = "compat"


@dataclass(frozen=True, slots=True)
class GateRules:
    """Settings of the gate.

    ``compat_until`` is the last day (UTC) whose messages are read in compat mode; the day on which the stream stored a
    message decides, so that a redelivery after midnight is judged as the first delivery was.
    """

    mode: Mode = Mode.STRICT
    compat_until: date | None = None
    max_bytes: int = 256 * 1024
    prefix: str = "hg"
    reply_prefixes: tuple[str, ...] = ("_INBOX.",)

    def compat_at(self, instant: int) -> bool:
        """Whether a message stored at ``instant`` (microseconds since the epoch) is read in compat mode."""
        if self.mode != Mode.COMPAT:
            return False
        if self.compat_until is None:
            return True
        last_midnight = datetime.combine(self.compat_until, time(), UTC)
        return instant < int(last_midnight.timestamp()) * MICROS_PER_SECOND + MICROS_PER_DAY
