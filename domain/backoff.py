"""How long to wait before trying again. Chance is an argument."""

from collections.abc import Callable
from dataclasses import dataclass, field


def delay_s(attempt: int, *, first_s: float, most_s: float, chance: float) -> float:
    """Exponential backoff with full jitter over its upper half.

    ``attempt`` counts from 0; ``chance`` is uniform in [0, 1). The answer lies between half of the doubled delay and
    the whole of it, so that retries spread without ever coming at once.
    """
    ceiling = min(most_s, first_s * 2.0 ** min(attempt, 62))
    return ceiling * (0.5 + chance / 2)


@dataclass(slots=True)
class Backoff:
    """Counts the failures in a row of one thing that is tried again and again; *chance* answers a number in [0, 1)."""

    first_s: float
    most_s: float
    chance: Callable[[], float]
    failures: int = field(default=0, init=False)

    def next_delay_s(self) -> float:
        wait = delay_s(self.failures, first_s=self.first_s, most_s=self.most_s, chance=self.chance())
        self.failures += 1
        return wait

    def reset(self) -> None:
        self.failures = 0
