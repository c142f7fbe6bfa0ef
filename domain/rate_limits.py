"""How often a principal may ask: a token bucket for each, kept as the one instant at which it will be full again.

A bucket that fills at a steady rate is described by when it will be full: each token taken moves that instant on by the
interval between two tokens, and a request is over the limit when the instant would lie more than a whole bucket ahead.
(This is the generic cell rate algorithm: token bucket arithmetic without a counter that must be topped up.)
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from contracts.errors import Detail, ErrorCode, Problem, problem

_NANOS_PER_MICRO: Final = 1_000
_NANOS_PER_MILLI: Final = 1_000_000
_NANOS_PER_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """``tokens`` in each ``seconds``, and as many at once."""

    tokens: int
    seconds: int

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.seconds < 1:
            raise ValueError("a rate is at least one token in at least one second")

    @property
    def interval_ns(self) -> int:
        """The time between two tokens, at least a nanosecond."""
        return max(1, self.seconds * _NANOS_PER_SECOND // self.tokens)


class Taken(NamedTuple):
    """``full_at`` is the bucket after the request (nanoseconds); ``retry_after_ms`` is 0 where a token was there."""

    full_at: int
    retry_after_ms: int


def take(full_at: int, rate: Rate, now: int) -> Taken:
    """Ask a bucket for one token at ``now`` (microseconds since the epoch); a refusal costs nothing.

    A clock that was set back leaves a bucket that is empty, not one that stays so until the old time is reached again.
    """
    now_ns = now * _NANOS_PER_MICRO
    interval = rate.interval_ns
    whole = rate.tokens * interval
    before = min(max(full_at, now_ns), now_ns + whole)
    after = before + interval
    early = after - now_ns - whole
    if early > 0:
        return Taken(before, -(-early // _NANOS_PER_MILLI))
    return Taken(after, 0)


@dataclass(slots=True)
class RateLimits:
    """A bucket for each principal that asked lately, at most ``most_principals`` of them.

    Where there are more, the one that asked longest ago is forgotten: its bucket is the likeliest to be full again, and
    a full bucket is the same as none.
    """

    rate: Rate
    most_principals: int = 10_000
    _full_at: OrderedDict[str, int] = field(default_factory=OrderedDict, init=False)

    def admit(self, principal: str, now: int) -> Problem | None:
        """Take one token for the principal; a ``RATE_LIMITED`` problem says when the next one will be there."""
        taken = take(self._full_at.get(principal, 0), self.rate, now)
        self._full_at[principal] = taken.full_at
        self._full_at.move_to_end(principal)
        if len(self._full_at) > self.most_principals:
            self._full_at.popitem(last=False)
        return rate_limited(taken.retry_after_ms) if taken.retry_after_ms else None

    def __len__(self) -> int:
        return len(self._full_at)


def rate_limited(retry_after_ms: int) -> Problem:
    """``RATE_LIMITED`` with the time to wait."""
    sentence = "too many requests"
    detail = Detail("", "rate_limited", sentence, {"retry_after_ms": retry_after_ms})
    return problem(ErrorCode.RATE_LIMITED, sentence, [detail])
