"""Measurements of posts: which one is the latest of a post, in all and on each day.

A measurement says what a post has come to *up to* its ``at``: the figures are totals and are never added up over time.
So the latest one counts, whichever arrives first. Of two for one instant the one that was made later (``created_at``)
counts, then the id that sorts last, so that no order of arrival matters.
"""

from collections.abc import Iterable
from typing import NamedTuple

from contracts.values.times import MICROS_PER_DAY, day_text


class Measurement(NamedTuple):
    """One measurement; times in microseconds since the epoch."""

    post_id: str
    platform: str
    at: int
    impressions: int
    reach: int
    likes: int
    comments: int
    saves: int
    shares: int
    views: int
    watch_through: float
    message_id: str
    trace_id: str
    producer: str
    created_at: int

    @property
    def day(self) -> str:
        """The day (UTC) that it counts for."""
        return day_text(self.at // MICROS_PER_DAY)

    @property
    def age(self) -> tuple[int, int, str]:
        """By what the latest is told."""
        return (self.at, self.created_at, self.message_id)


class LatestMeasurements(NamedTuple):
    """What a group of measurements changes, each in the order of its key."""

    of_posts: tuple[Measurement, ...]
    of_days: tuple[tuple[str, Measurement], ...]


def latest(measurements: Iterable[Measurement]) -> LatestMeasurements:
    """The latest of each post, and the latest of each post on each day."""
    posts: dict[str, Measurement] = {}
    days: dict[tuple[str, str], Measurement] = {}
    for measurement in measurements:
        key = (measurement.day, measurement.post_id)
        if key not in days or days[key].age < measurement.age:
            days[key] = measurement
        known = posts.get(measurement.post_id)
        if known is None or known.age < measurement.age:
            posts[measurement.post_id] = measurement
    return LatestMeasurements(
        tuple(posts[post_id] for post_id in sorted(posts)), tuple((key[0], days[key]) for key in sorted(days))
    )
