"""Usage records, and the totals of hours and days that grow with them."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final

from sqlalchemy import Connection, select

from domain.ledger.changes import DailyTotals, HourlyTotals
from domain.ledger.usage import UsageRecord
from storage.engine.batches import UpsertInsert, as_parameter, insert_rows
from storage.engine.upserts import adding
from storage.tables.usage import daily_usage_agg, hourly_usage_agg, session_usage


class SqlUsageRepository:
    """``session_usage``, ``hourly_usage_agg`` and ``daily_usage_agg``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def add(self, records: Sequence[UsageRecord]) -> None:
        if records:
            self._connection.execute(_add(self._dialect), as_parameter(records))

    def add_to_days(self, totals: Sequence[DailyTotals]) -> None:
        if totals:
            self._connection.execute(_add_to_days(self._dialect), as_parameter(totals))

    def add_to_hours(self, totals: Sequence[HourlyTotals]) -> None:
        if totals:
            self._connection.execute(_add_to_hours(self._dialect), as_parameter(totals))

    def hours(self) -> Mapping[tuple[int, str, str], HourlyTotals]:
        rows = self._connection.execute(select(*(hourly_usage_agg.c[name] for name in HourlyTotals._fields)))
        return {(row.hour, row.agent, row.model): HourlyTotals(*row) for row in rows}

    def days(self) -> Mapping[tuple[str, str, str], DailyTotals]:
        rows = self._connection.execute(select(*(daily_usage_agg.c[name] for name in DailyTotals._fields)))
        return {(row.day, row.agent, row.model): DailyTotals(*row) for row in rows}


_KEYS: Final = 3
"""How many columns the key of a total has."""


@cache
def _add(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, session_usage, UsageRecord._fields)


@cache
def _add_to_days(dialect: str) -> UpsertInsert:
    return adding(dialect, daily_usage_agg, DailyTotals._fields, sums=DailyTotals._fields[_KEYS:])


@cache
def _add_to_hours(dialect: str) -> UpsertInsert:
    return adding(dialect, hourly_usage_agg, HourlyTotals._fields, sums=HourlyTotals._fields[_KEYS:])
