"""What each alert rule reads: one number, and what it was made of. From aggregates and indexes, never by searching."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Protocol

from contracts.errors import JsonObject, JsonValue
from contracts.payloads.operations.kpi import KpiReportRequest
from contracts.values.times import MICROS_PER_DAY, MICROS_PER_SECOND, format_micros
from domain.alerts.alerts import AlertRule
from domain.alerts.signals import GAVE_UP, JOB_DONE, JOB_FAILED, OUTBOX_REFUSED, MinuteCount, minute_of
from domain.ledger.percentiles import percentile
from handlers.content.kpi import kpi_report
from handlers.effects import Context
from storage.unit_of_work import UnitOfWork

WORK_NOT_TAKEN: Final = "work_not_taken"
WORK_GIVEN_UP: Final = "work_given_up"
_MOST_COUNTED: Final = 10_000
_MOST_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class Reading:
    """A rule's number, None where there is nothing to read it from, and what it was made of."""

    value: float | None
    facts: JsonObject = field(default_factory=dict)


class Read(Protocol):
    """Reads the number of a rule from one snapshot."""

    def __call__(self, rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading: ...


def _failure_rate(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:
    """Of the jobs whose work ended within the window, how many failed."""
    counts = _counts(rule, uow, context, JOB_DONE, JOB_FAILED)
    ended = sum(count.occurrences for count in counts)
    failed = sum(count.occurrences for count in counts if count.signal == JOB_FAILED)
    newest = [count.newest for count in counts if count.signal == JOB_FAILED and count.newest]
    facts: JsonObject = {"ended": ended, "failed": failed, "newest_failed": [*reversed(newest[-_MOST_NAMED:])]}
    return Reading(failed / ended if ended else None, facts)


def _p95_runtime_ms(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:
    """From a job's first dispatch to its end, of those that ended within the window."""
    counts = _counts(rule, uow, context, JOB_DONE, JOB_FAILED)
    runtimes = Counter[int]()
    for count in counts:
        runtimes[count.bucket] += count.occurrences
    return Reading(percentile(runtimes, 95), {"ended": runtimes.total()})


def _cost_usd_per_day(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:
    """What the usage of this day (UTC) cost; of several days of the window, the mean."""
    days = max(1, round(rule.window_s * MICROS_PER_SECOND / MICROS_PER_DAY))
    first = format_micros(context.now - (days - 1) * MICROS_PER_DAY)[:10]
    last = format_micros(context.now)[:10]
    cost = uow.alert_readings.cost_of_days(first, last)
    facts: JsonObject = {"from": first, "to": last, "cost_missing_count": int(cost.missing_count)}
    return Reading(round(cost.usd_micros / days / MICROS_PER_SECOND, 6), facts)


def _kpi_anomaly(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:
    """Posts that stand out by the report of the window's days, as ``kpi-report`` would tell them."""
    since = context.now - round(rule.window_s * MICROS_PER_SECOND)
    wanted = KpiReportRequest.model_validate({"period": "daily", "from": format_micros(since)})
    posts = kpi_report(wanted, uow, now=context.now).posts
    odd = sorted((post for post in posts if post.anomaly), key=lambda post: -abs(post.z or 0))
    named: list[JsonValue] = [f"{post.latest.post_id}: z {post.z:.1f}" for post in odd[:_MOST_NAMED]]
    return Reading(len(odd) if posts else None, {"posts": len(posts), "worst": named})


def _stuck_jobs(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:  # noqa: ARG001 - as it is now
    return Reading(uow.alert_readings.overdue_jobs(now=context.now, most=_MOST_COUNTED))


def _dead_letters_open(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:  # noqa: ARG001 - as it is now
    return Reading(uow.dead_letters.count_open())


def _work_not_taken(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:  # noqa: ARG001 - as it is now
    """Types of work of which there is some and that nobody asks for."""
    since = {row.type: row.idle_since for row in uow.work_takers.get_all().values() if row.idle_since is not None}
    return Reading(len(since), {"work": {name: format_micros(moment) for name, moment in sorted(since.items())}})


def _work_given_up(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:
    """What was dispatched as often as is allowed, and failed for good within the window."""
    return _occurrences(rule, uow, context, GAVE_UP)


def _outbox_refused(rule: AlertRule, uow: UnitOfWork, context: Context) -> Reading:
    """Messages that their streams refused for good within the window."""
    return _occurrences(rule, uow, context, OUTBOX_REFUSED)


def _occurrences(rule: AlertRule, uow: UnitOfWork, context: Context, signal: str) -> Reading:
    counts = _counts(rule, uow, context, signal)
    newest = [count.newest for count in counts if count.newest]
    return Reading(sum(count.occurrences for count in counts), {"newest": [*reversed(newest[-_MOST_NAMED:])]})


def _counts(rule: AlertRule, uow: UnitOfWork, context: Context, *signals: str) -> list[MinuteCount]:
    since = minute_of(context.now - round(rule.window_s * MICROS_PER_SECOND))
    return list(uow.signal_counts.since(signals, since))


READINGS: Final[Mapping[str, Read]] = MappingProxyType(
    {
        "failure_rate": _failure_rate,
        "p95_runtime_ms": _p95_runtime_ms,
        "cost_usd_per_day": _cost_usd_per_day,
        "kpi_anomaly": _kpi_anomaly,
        "stuck_jobs": _stuck_jobs,
        "dead_letters_open": _dead_letters_open,
        WORK_NOT_TAKEN: _work_not_taken,
        WORK_GIVEN_UP: _work_given_up,
        OUTBOX_REFUSED: _outbox_refused,
    }
)
"""Rule -> how its number is read."""

SELDOM_S: Final[Mapping[str, float]] = MappingProxyType({"kpi_anomaly": 900.0})
"""Rules whose number takes long to read and changes slowly: read no more often than this."""
