"""Which posts stand out, by a robust z-score against their peers and against their own history.

A value *x* is compared with two samples *S*: itself with the values of its peers, and itself with its own earlier
values. The larger of both scores counts, so that neither what always differs from its peers nor what suddenly differs
from itself goes unseen. The mean and the standard deviation would be dragged along by the very outlier that is looked
for; the median and the median of the distances from it (MAD) are not moved by it as long as less than half of the
sample is odd::

    z = 0.6745 * (x - median(S)) / MAD(S)          MAD(S) = median(|s - median(S)|)

0.6745 is the third quartile of the standard normal distribution: for normal samples z reads as a number of standard
deviations (Iglewicz and Hoaglin, 1993, who flag from 3.5 on).

More than half of a sample may be one value (ties, zeros): then MAD is 0 and says nothing. The mean distance takes its
place, and the scale is never less than a twentieth of the median, for in a sample of equals the slightest step would
otherwise stand out::

    z = (x - median(S)) / max(1.2533 * mean(|s - median(S)|), |median(S)| / 20)

Where x is the median, z is 0, also where both scales are 0.
"""

from collections.abc import Sequence
from statistics import fmean, median
from typing import Final

NORMAL_QUARTILE: Final = 0.6745
MEAN_TO_DEVIATION: Final = 1.2533
LEAST_PART_OF_MEDIAN: Final = 0.05

THRESHOLD: Final = 3.5
"""From this |z| on a value is an anomaly."""

LEAST_PEERS: Final = 8
"""With fewer peers nothing is judged: their spread would be chance."""

LEAST_HISTORY: Final = 8
"""With fewer earlier values a post is judged by its peers alone."""


class Sample:
    """Values that others are compared with: their middle and scales, computed once."""

    def __init__(self, values: Sequence[float]) -> None:
        self.size: Final = len(values)
        self._middle = median(values)
        distances = [abs(each - self._middle) for each in values]
        self._mad = median(distances)
        self._scale = max(MEAN_TO_DEVIATION * fmean(distances), abs(self._middle) * LEAST_PART_OF_MEDIAN)

    def z(self, value: float) -> float:
        """How far *value*, which is one of the sample, lies from the middle, in robust standard deviations."""
        if value == self._middle:
            return 0.0
        if self._mad > 0:
            return NORMAL_QUARTILE * (value - self._middle) / self._mad
        return (value - self._middle) / self._scale


def robust_z(value: float, others: Sequence[float]) -> float:
    """How far *value* lies from the middle of itself and *others*."""
    return Sample([value, *others]).z(value)


def judged(value: float, group: Sample, history: Sequence[float]) -> float | None:
    """The z-score of a value in its *group*, itself and its peers, or in its own history, the larger of both; None
    where there are not enough peers to judge by."""
    if group.size - 1 < LEAST_PEERS:
        return None
    scores = [group.z(value)]
    if len(history) >= LEAST_HISTORY:
        scores.append(robust_z(value, history))
    return max(scores, key=abs)


def is_anomaly(z: float | None) -> bool:
    return z is not None and abs(z) >= THRESHOLD
