"""What is counted by minute for alert rules, and how counts of a window are read."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, NamedTuple

JOB_DONE: Final = "job_done"
JOB_FAILED: Final = "job_failed"
OUTBOX_REFUSED: Final = "outbox_refused"
GAVE_UP: Final = "gave_up"
"""Something was dispatched again as often as is allowed, and failed for good."""

MINUTE: Final = 60_000_000


class Counted(NamedTuple):
    """Something that happened, once: what keeps counts of one minute apart, and what names it."""

    signal: str
    bucket: int = 0
    name: str | None = None


class MinuteCount(NamedTuple):
    """How often something happened in a minute; ``newest`` names the last of them."""

    signal: str
    minute: int
    bucket: int
    occurrences: int
    newest: str | None


def minute_of(at: int) -> int:
    """The beginning of a moment's minute; both in microseconds since the epoch."""
    return at - at % MINUTE


def add_up(happened: Iterable[Counted], at: int) -> list[MinuteCount]:
    """One count for each signal and bucket of the minute, in key order."""
    counts: Counter[tuple[str, int]] = Counter()
    newest: dict[tuple[str, int], str | None] = {}
    for each in happened:
        counts[each.signal, each.bucket] += 1
        newest[each.signal, each.bucket] = each.name
    return [
        MinuteCount(signal, minute_of(at), bucket, occurrences, newest[signal, bucket])
        for (signal, bucket), occurrences in sorted(counts.items())
    ]
