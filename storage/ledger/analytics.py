"""Sums of usage over a window, by group: read from what is summed up already, and from records only at its edges."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from contracts.values.times import day_text
from domain.ledger.analytics import DayWindow, Stretch, UsageTotals, Window, add, saturated
from domain.ledger.percentiles import bucket_of
from storage.engine.failures import DataRefused
from storage.ledger.analytics_statements import (
    MOST_GROUPS,
    GroupKey,
    Source,
    UsageQuery,
    class_query,
    runtime_query,
    usage_query,
    whole_of_halves,
)

__all__ = ["MOST_GROUPS", "AnalyticsRepository", "GroupKey", "SqlAnalyticsRepository", "UsageFilter"]


class UsageFilter(NamedTuple):
    """Of which agent and model; None for all."""

    agent: str | None = None
    model: str | None = None


class AnalyticsRepository(Protocol):
    """Totals over a window by group. Keys are ``hour`` (``YYYY-MM-DDTHH``), ``day``, ``agent``, ``model``."""

    def usage(self, window: Window, keys: Sequence[str], wanted: UsageFilter) -> Mapping[GroupKey, UsageTotals]:
        """The totals of each group; no more than :data:`MOST_GROUPS` and one of each part of the window."""
        ...

    def runtimes(
        self, window: DayWindow, keys: Sequence[str], wanted: UsageFilter
    ) -> Mapping[GroupKey, Mapping[int, int]]:
        """How many requests there were of each class of runtime."""
        ...


class SqlAnalyticsRepository:
    """``session_usage`` and all that is summed up from it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def usage(self, window: Window, keys: Sequence[str], wanted: UsageFilter) -> Mapping[GroupKey, UsageTotals]:
        sums: dict[GroupKey, UsageTotals] = {}
        for source, stretch in _parts(window):
            for key, totals in self._sums(source, stretch, tuple(keys), wanted):
                known = sums.get(key)
                sums[key] = totals if known is None else add(known, totals)
        return sums

    def _sums(
        self, source: Source, stretch: Stretch, keys: tuple[str, ...], wanted: UsageFilter
    ) -> Sequence[tuple[GroupKey, UsageTotals]]:
        named, size = _named(wanted), len(keys)
        try:
            query = usage_query(self._dialect, source, keys, named)
            rows = self._ask(query, stretch, wanted)
        except DataRefused:
            if self._dialect != "sqlite":
                raise
            # A sum passed 64 bits, which SQLite refuses: summed up in halves none does.
            query = usage_query(self._dialect, source, keys, named, in_halves=True)
            rows = self._ask(query, stretch, wanted)
            return [(query.key(row), saturated(whole_of_halves(row[size:]))) for row in rows]
        if self._dialect == "sqlite":
            return [(query.key(row), UsageTotals(*row[size:])) for row in rows]
        return [(query.key(row), saturated(map(int, row[size:]))) for row in rows]  # its sums are decimals

    def _ask(self, query: UsageQuery, stretch: Stretch, wanted: UsageFilter) -> Sequence[tuple[int, ...]]:
        return query.answer.rows(self._connection, _parameters(query.source, stretch, wanted))

    def runtimes(
        self, window: DayWindow, keys: Sequence[str], wanted: UsageFilter
    ) -> Mapping[GroupKey, Mapping[int, int]]:
        counts: defaultdict[GroupKey, Counter[int]] = defaultdict(Counter)
        named = _named(wanted)
        for stretch in window.days:
            classes = class_query(self._dialect, tuple(keys), named)
            for row in self._ask(classes, stretch, wanted):
                counts[classes.key(row)][row[-2]] += int(row[-1])
        records = runtime_query(self._dialect, tuple(keys), named)
        for sign, stretches in ((1, window.added), (-1, window.taken_off)):
            for stretch in stretches:
                parameters = _parameters(Source.RECORDS, stretch, wanted)
                *groups, values = records.answer.columns(self._connection, parameters)
                for row, count in Counter(zip(*groups, map(bucket_of, values), strict=True)).items():
                    counts[records.key(row)][row[-1]] += sign * count
        return counts


def _parts(window: Window) -> list[tuple[Source, Stretch]]:
    sources = ((Source.RECORDS, window.rows), (Source.HOURS, window.hours), (Source.DAYS, window.days))
    return [(source, stretch) for source, stretches in sources for stretch in stretches]


def _named(wanted: UsageFilter) -> tuple[str, ...]:
    """The filters that are in use."""
    return tuple(name for name, value in zip(wanted._fields, wanted, strict=True) if value is not None)


def _parameters(source: Source, stretch: Stretch, wanted: UsageFilter) -> dict[str, object]:
    bounds: tuple[int | str, int | str] = stretch
    if source is Source.DAYS:
        bounds = (day_text(stretch.since), day_text(stretch.until))
    return {"since": bounds[0], "until": bounds[1], **wanted._asdict()}
