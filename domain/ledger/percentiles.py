"""Percentiles of runtimes from counts that add up.

Percentiles of different days or agents cannot be added; counts by classes of runtime can. The classes grow by a tenth,
so that the value given back lies within 5 % of every runtime of its class (exact below 20 ms), and a table row for each
class in use is all that has to be kept. Borders are integers made by integer arithmetic: the class of a runtime is the
same on every machine, which a logarithm does not promise.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final

MAX_RUNTIME_MS: Final = 2**53

_PART: Final = 20  # a class reaches a twentieth of its lower border to either side of its middle

NO_RUNTIME: Final = -1
"""The class of requests whose runtime is missing: counted, and left out of every percentile."""


def _lower_borders() -> tuple[int, ...]:
    borders = [0]
    while borders[-1] <= MAX_RUNTIME_MS:
        borders.append(borders[-1] + 2 * (borders[-1] // _PART) + 1)
    return tuple(borders)


_BORDERS: Final = _lower_borders()


def bucket_of(runtime_ms: int) -> int:
    """The class of a runtime: 0 for no time at all, then rising. *runtime_ms* is 0 or more."""
    return bisect_right(_BORDERS, runtime_ms) - 1


def runtime_of(bucket: int) -> int:
    """The runtime in milliseconds that stands for a class: its middle."""
    lowest = _BORDERS[bucket]
    return lowest + lowest // _PART


def percentile(counts: Mapping[int, int], percent: int) -> int | None:
    """The runtime in milliseconds that *percent* of the counted requests did not exceed, or ``None`` without any.

    By nearest rank: the answer stands for a request that took place, not for a mean of two.
    """
    buckets = sorted(bucket for bucket, count in counts.items() if bucket != NO_RUNTIME and count > 0)
    total = sum(counts[bucket] for bucket in buckets)
    rank = max(1, -(-total * percent // 100))
    passed = 0
    for bucket in buckets:
        passed += counts[bucket]
        if passed >= rank:
            return runtime_of(bucket)
    return None
