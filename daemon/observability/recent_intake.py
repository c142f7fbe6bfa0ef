"""What came in during the last ten seconds: rates and lag for the pulse."""

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

_WINDOW_S: Final = 10
_MICROS: Final = 1_000_000
_MOST_BATCHES: Final = 5_000


class _Batch(NamedTuple):
    at: int
    lag_ms: float | None
    outcomes: Mapping[str, int]


class RecentIntake:
    """The batches of the last ten seconds; each counts for its messages with the lag of its oldest, if it has one."""

    def __init__(self) -> None:
        self._batches: deque[_Batch] = deque(maxlen=_MOST_BATCHES)

    def note(self, at: int, lag_ms: float | None, outcomes: Mapping[str, int]) -> None:
        self._batches.append(_Batch(at, lag_ms, outcomes))

    def forget(self, now: int) -> None:
        while self._batches and self._batches[0].at <= now - _WINDOW_S * _MICROS:
            self._batches.popleft()

    def per_second(self, outcome: str) -> float:
        return round(sum(batch.outcomes.get(outcome, 0) for batch in self._batches) / _WINDOW_S, 3)

    def lag(self, share: float) -> float | None:
        """The lag that *share* of the messages did not pass; None where nothing came."""
        weighted = sorted(
            (batch.lag_ms, sum(batch.outcomes.values())) for batch in self._batches if batch.lag_ms is not None
        )
        left = share * sum(count for _, count in weighted)
        for lag_ms, count in weighted:
            left -= count
            if left <= 0:
                return round(lag_ms, 3)
        return None
