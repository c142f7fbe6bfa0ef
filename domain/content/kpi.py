"""The KPI report: what posts came to in a time, period by period, against the time before, and which of them stand out.

A measurement says what a post has come to up to its instant. So the figures of a period are those of the latest
measurement of each post within it, summed up over posts; they are never added up over time.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from domain.content.anomalies import Sample, is_anomaly, judged

COUNTS: Final = ("impressions", "reach", "likes", "comments", "saves", "shares", "views")
WATCH_THROUGH: Final = "watch_through"
METRICS: Final = (*COUNTS, WATCH_THROUGH)
NO_OBJECTIVE: Final = "reach"
"""What a post without a known objective is judged by."""

_MONDAY: Final = 4  # the epoch was a Thursday: day 4 is the first Monday after it


class Period(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"

    @property
    def days(self) -> int:
        return 7 if self is Period.WEEKLY else 1

    @property
    def history(self) -> int:
        """How many periods of its past a post is judged by."""
        return 8 if self is Period.WEEKLY else 14

    def start(self, day: int) -> int:
        """The first day of the period that *day* (counted from the epoch, UTC) belongs to; weeks begin on Monday."""
        return day if self is Period.DAILY else day - (day - _MONDAY) % 7


class PostDay(NamedTuple):
    """The latest measurement of a post on a day, with what is known of the post. ``day`` is counted from the epoch."""

    day: int
    at: int
    post_id: str
    platform: str
    topic: str | None
    objective: str | None
    impressions: int
    reach: int
    likes: int
    comments: int
    saves: int
    shares: int
    views: int
    watch_through: float

    def metric(self, name: str) -> float:
        value: float = getattr(self, name)
        return value


class Sums(NamedTuple):
    """What some posts came to together; ``watch_through`` is their mean weighted by views, None without any."""

    posts: int
    counts: Mapping[str, int]
    watch_through: float | None

    def metric(self, name: str) -> float | None:
        return self.watch_through if name == WATCH_THROUGH else self.counts[name]


class PostReport(NamedTuple):
    """A post, as its latest measurement within the window has it. ``trend`` has what it is judged by, a value for each
    period, None where nothing was measured."""

    latest: PostDay
    objective_value: float | None
    z: float | None
    anomaly: bool
    trend: tuple[float | None, ...]


class PeriodSums(NamedTuple):
    start: int
    sums: Sums


class KpiReport(NamedTuple):
    """The report of the days from ``since`` on, before ``until``."""

    period: Period
    since: int
    until: int
    posts: tuple[PostReport, ...]
    periods: tuple[PeriodSums, ...]
    totals: Sums
    before: Sums
    change: Mapping[str, float | None]


class ReportDays(NamedTuple):
    """The days that a report is of, and the first one that is read for it: the time before and the posts' history."""

    first: int
    since: int
    until: int


def report_days(period: Period, since: int, until: int) -> ReportDays:
    """Whole periods around the days from *since* on, before *until*; one at least."""
    start = period.start(since)
    end = period.start(max(until - 1, since)) + period.days
    return ReportDays(min(start - (end - start), start - period.history * period.days), start, end)


def make_report(period: Period, days: ReportDays, rows: Iterable[PostDay]) -> KpiReport:
    """The report from the *rows* of all of :class:`ReportDays`, one for each post and day, in any order."""
    by_post: defaultdict[str, dict[int, PostDay]] = defaultdict(dict)
    for row in rows:
        periods = by_post[row.post_id]
        start = period.start(row.day)
        if start not in periods or periods[start].at < row.at:
            periods[start] = row
    starts = range(days.since, days.until, period.days)
    by_period: defaultdict[int, list[PostDay]] = defaultdict(list)
    for periods in by_post.values():
        for start, row in periods.items():
            by_period[start].append(row)
    length = days.until - days.since
    totals = _sum(_latest(by_post.values(), days.since, days.until))
    before = _sum(_latest(by_post.values(), days.since - length, days.since))
    return KpiReport(
        period,
        days.since,
        days.until,
        _posts(by_post, starts, days),
        tuple(PeriodSums(start, _sum(by_period[start])) for start in starts),
        totals,
        before,
        {name: _change(totals.metric(name), before.metric(name)) for name in METRICS},
    )


def _latest(posts: Iterable[Mapping[int, PostDay]], since: int, until: int) -> list[PostDay]:
    """The latest measurement of each post within some days."""
    found = []
    for periods in posts:
        within = [start for start in periods if since <= start < until]
        if within:
            found.append(periods[max(within)])
    return found


def _sum(rows: Iterable[PostDay]) -> Sums:
    listed = list(rows)
    views = sum(row.views for row in listed)
    watched = sum(row.views * row.watch_through for row in listed)
    counts = {name: sum(getattr(row, name) for row in listed) for name in COUNTS}
    return Sums(len(listed), counts, watched / views if views else None)


def _change(now: float | None, before: float | None) -> float | None:
    """By which part it grew; None where there was nothing before."""
    return None if now is None or not before else (now - before) / before


def _measure(row: PostDay) -> str:
    return row.objective or NO_OBJECTIVE


def _posts(
    by_post: Mapping[str, Mapping[int, PostDay]], starts: Sequence[int], days: ReportDays
) -> tuple[PostReport, ...]:
    """Every post that was measured within the window, the largest reach first."""
    latest = _latest(by_post.values(), days.since, days.until)
    values: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in latest:
        values[row.platform, _measure(row)].append(row.metric(_measure(row)))
    samples = {group: Sample(each) for group, each in values.items()}
    latest.sort(key=lambda row: (-row.reach, row.post_id))
    return tuple(_post(row, samples[row.platform, _measure(row)], by_post[row.post_id], starts) for row in latest)


def _post(row: PostDay, group: Sample, own: Mapping[int, PostDay], starts: Sequence[int]) -> PostReport:
    measure = _measure(row)
    history = [each.metric(measure) for each in own.values() if each.at < row.at]
    z = judged(row.metric(measure), group, history)
    trend = tuple(own[start].metric(measure) if start in own else None for start in starts)
    return PostReport(row, row.metric(measure) if row.objective else None, z, is_anomaly(z), trend)
