"""Whether the time of a type of work runs: it stands still while no worker asks for work, or no daemon looks."""

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at the takers of a type of work found. Times are microseconds since the epoch.

    ``wanted`` says that such work is in hand, ``asked`` that somebody waits for more or has taken all there is;
    ``active_at`` is when it was last taken.
    """

    wanted: bool
    asked: bool
    active_at: int | None


@dataclass(frozen=True, slots=True)
class Watch:
    """What is known from a look: when it was, and since when such work is wanted and taken by nobody."""

    observed_at: int
    idle_since: int | None


class Lost(NamedTuple):
    """Time that does not count."""

    since: int
    until: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What a new look found: the time since the one before that does not count, and what is known from now on."""

    lost: Lost | None
    watch: Watch


def read_clock(before: Watch | None, seen: Seen, *, now: int, patience: int, longest_gap: int) -> Reading:
    """How much of the time since the look before counts.

    Somebody who took work is believed to be at it for ``patience`` and need not ask for more meanwhile. What lies
    between two looks further apart than ``longest_gap`` was seen by nobody and does not count.
    """
    taken_until = 0 if seen.active_at is None else seen.active_at + patience
    idle = seen.wanted and not seen.asked and taken_until < now
    was_idle_since = None if before is None else before.idle_since
    watch = Watch(now, (was_idle_since or now) if idle else None)
    return Reading(_lost(before, seen, idle, now, taken_until, longest_gap), watch)


def _lost(before: Watch | None, seen: Seen, idle: bool, now: int, taken_until: int, longest_gap: int) -> Lost | None:
    if before is None:
        return Lost(0, now) if idle else None
    if now - before.observed_at > longest_gap:
        return Lost(before.observed_at, now)
    if before.idle_since is not None:
        taken_again = not idle and seen.active_at is not None and seen.active_at > before.observed_at
        return Lost(before.observed_at, (seen.active_at or now) if taken_again else now)
    return Lost(max(before.observed_at, min(now, taken_until)), now) if idle else None
