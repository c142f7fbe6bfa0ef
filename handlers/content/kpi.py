"""``kpi-report``: what posts came to, as JSON or as text."""

from collections.abc import Mapping
from typing import Final

import orjson

from contracts.errors import JsonObject, JsonValue, Problem, Refusal, invalid_field
from contracts.payloads.operations.kpi import KpiFormat, KpiReportRequest
from contracts.values.times import MICROS_PER_DAY, day_text, format_micros
from domain.content.kpi import (
    COUNTS,
    METRICS,
    WATCH_THROUGH,
    KpiReport,
    Period,
    PostReport,
    Sums,
    make_report,
    report_days,
)
from domain.content.kpi_text import report_text
from handlers.commands.command import Command, Reply, ok, payload_of
from handlers.effects import Context
from storage.unit_of_work import UnitOfWork

_DEFAULT_PERIODS: Final[Mapping[Period, int]] = {Period.DAILY: 7, Period.WEEKLY: 4}
_DIGITS: Final = 6


def report_kpis(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """The report; without a window the last seven days, or four weeks, up to today."""
    wanted = payload_of(command, KpiReportRequest)
    report = kpi_report(wanted, uow, now=context.now)
    if wanted.format is KpiFormat.TEXT:
        return ok({"text": report_text(report)})
    view = report_view(report)
    if len(orjson.dumps(view)) > context.max_message_bytes // 2:
        raise Refusal(TOO_MANY_POSTS)
    return ok(view)


def kpi_report(wanted: KpiReportRequest, uow: UnitOfWork, *, now: int) -> KpiReport:
    """The report that is *wanted*, as of *now*."""
    period = Period(wanted.period)
    until = now + 1 if wanted.until is None else wanted.until
    last = -(-until // MICROS_PER_DAY)
    default = period.start(last - 1) - (_DEFAULT_PERIODS[period] - 1) * period.days
    first = default if wanted.since is None else wanted.since // MICROS_PER_DAY
    days = report_days(period, first, last)
    rows = uow.kpi.post_days(period, days.first, days.until, topic=wanted.topic, platform=wanted.platform)
    return make_report(period, days, rows)


def report_view(report: KpiReport) -> JsonObject:
    change: JsonObject = {name: _rounded(report.change[name]) for name in METRICS}
    return {
        "period": report.period,
        "from": _start(report.since),
        "to": _start(report.until),
        "posts": [_post_view(post) for post in report.posts],
        "periods": [{"start": day_text(each.start), **_sums_view(each.sums)} for each in report.periods],
        "totals": _sums_view(report.totals),
        "change": change,
    }


def _post_view(post: PostReport) -> JsonValue:
    row = post.latest
    return {
        "post_id": row.post_id,
        "platform": row.platform,
        "topic": row.topic,
        "measured_at": format_micros(row.at),
        **{name: getattr(row, name) for name in METRICS},
        "objective": row.objective,
        "objective_value": _as_counted(row.objective, post.objective_value),
        "anomaly": post.anomaly,
        "z": _rounded(post.z),
    }


def _sums_view(sums: Sums) -> JsonObject:
    return {
        "posts": sums.posts,
        **{name: sums.counts[name] for name in COUNTS},
        WATCH_THROUGH: _rounded(sums.watch_through),
    }


def _as_counted(objective: str | None, value: float | None) -> float | None:
    """Counts are integers, as they came."""
    return value if value is None or objective == WATCH_THROUGH else int(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _start(day: int) -> str:
    return format_micros(day * MICROS_PER_DAY)


TOO_MANY_POSTS: Final[Problem] = invalid_field(
    "payload.from", "too_many_posts", "The window has more posts than one reply can tell: narrow it, or ask for text"
)
