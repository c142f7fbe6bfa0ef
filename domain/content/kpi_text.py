"""The KPI report as text: tables with sparklines that fit 80 columns."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from domain.content.kpi import METRICS, WATCH_THROUGH, KpiReport, PostReport

WIDTH: Final = 80
_BARS: Final = "▁▂▃▄▅▆▇█"
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MOST_POSTS: Final = 40
_SPARK: Final = 13
_MOST_CHANGE: Final = 99
_TREND: Final = 32
_UNITS: Final = (("T", 10**12), ("G", 10**9), ("M", 10**6))
_NEXT_UNIT: Final = 1_000


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The last *width* values as bars between the least and the largest; a gap where there is none."""
    shown = values[-width:]
    known = [value for value in shown if value is not None]
    if not known:
        return " " * len(shown)
    least, span = min(known), max(known) - min(known)
    return "".join(" " if value is None else _BARS[_level(value, least, span)] for value in shown)


def _level(value: float, least: float, span: float) -> int:
    """Equal values stand half high, zeros at the bottom."""
    if span == 0:
        return 0 if value == 0 else len(_BARS) // 2 - 1
    return min(int((value - least) / span * len(_BARS)), len(_BARS) - 1)


def report_text(report: KpiReport) -> str:
    """The whole report; no line is longer than :data:`WIDTH`."""
    last = report.until - 1
    lines = [
        f"KPI report, {report.period}: {_day(report.since)} to {_day(last)} (UTC)",
        "",
        *_figures(report),
        "",
        *_posts(report),
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _figures(report: KpiReport) -> Iterable[str]:
    unit = "week" if report.period.days > 1 else "day"
    yield f"{'':13} {'now':>10} {'before':>10} {'change':>9}  by {unit}"
    yield _figure("posts", report.totals.posts, report.before.posts, [each.sums.posts for each in report.periods], None)
    for name in METRICS:
        series = [each.sums.metric(name) for each in report.periods]
        now, before = report.totals.metric(name), report.before.metric(name)
        yield _figure(name, now, before, series, report.change[name])


def _figure(
    name: str, now: float | None, before: float | None, series: Sequence[float | None], change: float | None
) -> str:
    changed = "" if change is None else f"{change:+.1%}" if abs(change) < 100 else f"{change:+.0f}x"
    spark = sparkline(series, _TREND)
    return f"{name:13} {_number(name, now):>10} {_number(name, before):>10} {changed:>9}  {spark}"


def _posts(report: KpiReport) -> Iterable[str]:
    if not report.posts:
        yield "No post was measured in this time."
        return
    odd = sum(post.anomaly for post in report.posts)
    yield f"{len(report.posts):,} posts, the largest reach first" + (f"; ! marks {odd:,} that stand out" if odd else "")
    yield ""
    yield f"  {'post':22} {'platform':10} {'objective':13} {'value':>8} {'z':>6}  trend"
    for post in report.posts[:_MOST_POSTS]:
        yield _post(post)
    if len(report.posts) > _MOST_POSTS:
        yield f"  ... and {len(report.posts) - _MOST_POSTS:,} more: the JSON format has them all"


def _post(post: PostReport) -> str:
    row = post.latest
    objective = row.objective or "-"
    value = "-" if post.objective_value is None else _number(objective, post.objective_value)
    mark = "!" if post.anomaly else " "
    z, spark = _z_text(post.z), sparkline(post.trend, _SPARK)
    return f"{mark} {_cut(row.post_id, 22):22} {_cut(row.platform, 10):10} {objective:13} {value:>8} {z:>6}  {spark}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _number(name: str, value: float | None) -> str:
    """At most eight characters."""
    if value is None:
        return "-"
    if name == WATCH_THROUGH:
        return f"{value:.1%}"
    for unit, size in _UNITS:
        if value >= size:
            return f"{value / size:,.1f}{unit}" if value < size * _NEXT_UNIT else f"{value:.1e}"
    return f"{value:,.0f}"


def _z_text(z: float | None) -> str:
    """At most six characters."""
    if z is None:
        return "-"
    return f"{z:+.1f}" if abs(z) < _NEXT_UNIT else f"{z:+.0e}"


def _day(number: int) -> str:
    return date.fromordinal(_EPOCH + number).isoformat()
