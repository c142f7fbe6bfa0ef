"""Questions about what all sessions came to, over a time and by groups."""

from collections.abc import Mapping, Sequence

import orjson

from contracts.errors import JsonObject, Problem, Refusal, invalid_field
from contracts.payloads.commands.analytics import AnalyticsPerformance, AnalyticsUsage, UsageKey
from domain.ledger.analytics import UsageTotals, cut, cut_days, sum_up
from domain.ledger.percentiles import percentile
from domain.ledger.saturation import MAX_TOTAL
from handlers.commands.command import Command, Reply, ok, payload_of
from handlers.effects import Context
from handlers.ledger.provenance import cost_provenance, known_cost, tokens_provenance
from storage.ledger.analytics import MOST_GROUPS, GroupKey, UsageFilter
from storage.unit_of_work import UnitOfWork

_MEDIAN, _NEARLY_ALL = 50, 95


def sum_usage(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``analytics.usage``: totals of each group in the order of the keys, and of all."""
    wanted = payload_of(command, AnalyticsUsage)
    is_plain = isinstance(wanted.group_by, UsageKey)
    keys = [wanted.group_by] if isinstance(wanted.group_by, UsageKey) else list(wanted.group_by)
    window = cut(wanted.since, wanted.until, by_hour=UsageKey.HOUR in keys)
    sums = uow.analytics.usage(window, keys, UsageFilter(wanted.agent, wanted.model))
    items: list[JsonObject] = [
        {"key": key[0] if is_plain or len(key) == 1 else [*key], **usage_view(sums[key])} for key in sorted(sums)
    ]
    _require_room(items, context)
    return ok({"items": [*items], "totals": usage_view(sum_up(sums.values()))})


def sum_performance(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``analytics.performance``: how each group fared; what has no runtime is in no percentile."""
    wanted = payload_of(command, AnalyticsPerformance)
    keys, only = [wanted.group_by], UsageFilter(wanted.agent, wanted.model)
    sums = uow.analytics.usage(cut(wanted.since, wanted.until), keys, only)
    runtimes = uow.analytics.runtimes(cut_days(wanted.since, wanted.until), keys, only)
    items = [_performance_view(key, sums[key], runtimes.get(key, {})) for key in sorted(sums)]
    _require_room(items, context)
    return ok({"items": [*items]})


def usage_view(totals: UsageTotals) -> JsonObject:
    return {
        "requests": totals.requests,
        "errors": totals.errors,
        "input_tokens": totals.input_tokens,
        "output_tokens": totals.output_tokens,
        "runtime_ms": totals.runtime_ms,
        "cost_usd": known_cost(totals.cost_usd_micros, totals.requests - totals.cost_missing_count),
        "tokens": tokens_provenance(totals.tokens_reported, totals.tokens_derived, totals.tokens_missing_count),
        "cost": cost_provenance(
            totals.cost_usd_micros_reported, totals.cost_usd_micros_derived, totals.cost_missing_count
        ),
    }


def _performance_view(key: GroupKey, totals: UsageTotals, runtimes: Mapping[int, int]) -> JsonObject:
    return {
        "key": key[0],
        "requests": totals.requests,
        "errors": totals.errors,
        "error_rate": round(totals.errors / totals.requests, 6) if totals.requests else 0.0,
        "p50_runtime_ms": percentile(runtimes, _MEDIAN),
        "p95_runtime_ms": percentile(runtimes, _NEARLY_ALL),
        "runtime": {
            "reported": min(totals.runtime_ms_reported, MAX_TOTAL),
            "derived": min(totals.runtime_ms_derived, MAX_TOTAL),
            "missing_count": totals.runtime_missing_count,
        },
    }


def _require_room(items: Sequence[JsonObject], context: Context) -> None:
    """Raise where there is more than one reply can tell: sums have no pages, for their totals are of one moment."""
    if len(items) > MOST_GROUPS or len(orjson.dumps(items)) > context.max_message_bytes // 2:
        raise Refusal(TOO_MANY_GROUPS)


TOO_MANY_GROUPS: Problem = invalid_field(
    "payload.group_by", "too_many_groups", "The window has more groups than one reply can tell: narrow it"
)
