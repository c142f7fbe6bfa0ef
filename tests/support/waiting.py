"""Waiting for facts instead of for time. A deadline ends a wait that is hopeless and measures nothing: it is long
enough for a machine that is busy with much else."""

import time
from collections.abc import Iterator
from typing import Final

PATIENCE_S: Final = 120.0

_FIRST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.1


def pauses(within_s: float) -> Iterator[float]:
    """Seconds to sleep before the next look, longer each time: looking costs processor time too. Ends with the
    deadline."""
    deadline = time.monotonic() + within_s
    pause_s = _FIRST_PAUSE_S
    while time.monotonic() < deadline:
        yield pause_s
        pause_s = min(_LONGEST_PAUSE_S, pause_s * 1.5)


def never_true(within_s: float) -> AssertionError:
    return AssertionError(f"not true within {within_s} s")
